#include "src/train/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>

namespace railhead::train {
namespace {

using checkpoint::TensorEntry;
using checkpoint::TensorFile;

constexpr std::size_t kPiece = 1 << 20;  // divided by every width

double halfToDouble(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  double value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

template <typename T>
T loaded(const char* from) {
  T out{};
  std::memcpy(&out, from, sizeof out);
  return out;
}

// nullptr: compared byte by byte only.
using NumberValue = double (*)(const char*);

NumberValue valueOf(const std::string& type) {
  static const std::map<std::string, NumberValue> kValues = {
      {"F64", [](const char* at) { return loaded<double>(at); }},
      {"F32", [](const char* at) { return static_cast<double>(loaded<float>(at)); }},
      {"F16", [](const char* at) { return halfToDouble(loaded<std::uint16_t>(at)); }},
      {"BF16", [](const char* at) {
         const std::uint32_t wide = static_cast<std::uint32_t>(loaded<std::uint16_t>(at)) << 16;
         float value = 0;
         std::memcpy(&value, &wide, sizeof value);
         return static_cast<double>(value);
       }}};
  const auto found = kValues.find(type);
  return found == kValues.end() ? nullptr : found->second;
}

struct Measured {
  std::uint64_t differing = 0;
  double largestDifference = 0;
  double largestValue = 0;

  void add(NumberValue value, std::size_t bytes, const char* a, const char* b) {
    if (value != nullptr) {
      const double left = value(a);
      const double right = value(b);
      for (const double one : {left, right}) {
        if (std::isfinite(one)) largestValue = std::max(largestValue, std::abs(one));
      }
      if (std::memcmp(a, b, bytes) == 0) return;
      const double apart = std::abs(left - right);
      largestDifference =
          std::max(largestDifference,
                   std::isfinite(apart) ? apart : std::numeric_limits<double>::infinity());
    } else if (std::memcmp(a, b, bytes) == 0) {
      return;
    } else {
      largestDifference = std::numeric_limits<double>::infinity();
    }
    ++differing;
  }
  double relative() const {
    if (largestDifference == 0) return 0;  // such as 0 and -0
    return largestValue > 0 ? largestDifference / largestValue
                            : std::numeric_limits<double>::infinity();
  }
};

Result<Measured> measured(const TensorFile& first, const TensorEntry& a, const TensorFile& second,
                          const TensorEntry& b) {
  const NumberValue value = valueOf(a.type);
  const std::size_t width = checkpoint::tensorElementBytes(a.type);
  const std::uint64_t bytes = a.end - a.begin;
  Measured out;
  std::string left;
  std::string right;
  for (std::uint64_t done = 0; done < bytes; done += left.size()) {
    left.resize(std::min<std::uint64_t>(kPiece, bytes - done));
    right.resize(left.size());
    RAILHEAD_TRY(first.read(a, done, std::as_writable_bytes(std::span(left))));
    RAILHEAD_TRY(second.read(b, done, std::as_writable_bytes(std::span(right))));
    for (std::size_t at = 0; at < left.size(); at += width)
      out.add(value, width, left.data() + at, right.data() + at);
  }
  return out;
}

std::vector<const TensorEntry*> byName(const TensorFile& file) {
  std::vector<const TensorEntry*> out;
  for (const auto& tensor : file.header().tensors) out.push_back(&tensor);
  std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  return out;
}

}  // namespace

Result<std::vector<TensorDifference>> differingTensors(const TensorFile& first,
                                                       const TensorFile& second) {
  constexpr double kNoMeasure = std::numeric_limits<double>::infinity();
  std::vector<TensorDifference> out;
  for (const TensorEntry* each : byName(first)) {
    const TensorEntry& a = *each;
    const TensorEntry* b = second.header().find(a.name);
    if (b == nullptr) {
      out.push_back({a.name, "is only in the first", kNoMeasure});
    } else if (a.type != b->type || a.shape != b->shape) {
      out.push_back({a.name, "has another type or shape", kNoMeasure});
    } else {
      RAILHEAD_TRY_ASSIGN(const Measured found, measured(first, a, second, *b));
      if (found.differing == 0) continue;
      const std::uint64_t values = (a.end - a.begin) / checkpoint::tensorElementBytes(a.type);
      out.push_back(
          {a.name,
           std::to_string(found.differing) + " of " + std::to_string(values) + " values differ",
           found.relative()});
    }
  }
  for (const TensorEntry* b : byName(second)) {
    if (first.header().find(b->name) == nullptr)
      out.push_back({b->name, "is only in the second", kNoMeasure});
  }
  return out;
}

}  // namespace railhead::train

#include "src/train/tensors.h"

#include "src/base/text.h"
#include "src/train/json_fields.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::train {
namespace {

constexpr std::uint64_t kMaxHeader = 16 << 20;
constexpr std::size_t kMaxShape = 16;
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

struct NumberType {
  std::size_t bytes = 0;
  double (*value)(const char*) = nullptr;  // nullptr: compared byte by byte only
};

const NumberType* typeOf(const std::string& dtype) {
  static const std::map<std::string, NumberType> kTypes = {
      {"F64", {8, [](const char* at) { return loaded<double>(at); }}},
      {"F32", {4, [](const char* at) { return static_cast<double>(loaded<float>(at)); }}},
      {"F16", {2, [](const char* at) { return halfToDouble(loaded<std::uint16_t>(at)); }}},
      {"BF16",
       {2,
        [](const char* at) {
          const std::uint32_t wide = static_cast<std::uint32_t>(loaded<std::uint16_t>(at)) << 16;
          float value = 0;
          std::memcpy(&value, &wide, sizeof value);
          return static_cast<double>(value);
        }}},
      {"I64", {8, nullptr}},
      {"U64", {8, nullptr}},
      {"I32", {4, nullptr}},
      {"U32", {4, nullptr}},
      {"I16", {2, nullptr}},
      {"U16", {2, nullptr}},
      {"I8", {1, nullptr}},
      {"U8", {1, nullptr}},
      {"BOOL", {1, nullptr}}};
  const auto found = kTypes.find(dtype);
  return found == kTypes.end() ? nullptr : &found->second;
}

Error badHeader(const std::string& path, const std::string& why) {
  return Error(ErrorCode::kCorrupt, path + " is no safetensors file: " + why);
}

// `room`: bytes behind the header, which begin at `base`.
Result<Tensor> tensorFrom(const Json& entry, const std::string& name, std::uint64_t base,
                          std::uint64_t room, const std::string& path) {
  Tensor out;
  out.name = name;
  std::vector<std::uint64_t> offsets;
  FieldReader reader(entry, path + ": " + inQuotes(name));
  reader("dtype", out.dtype);
  reader("shape", out.shape);
  reader("data_offsets", offsets);
  RAILHEAD_TRY(reader.result());
  const NumberType* type = typeOf(out.dtype);
  if (type == nullptr || out.shape.size() > kMaxShape || offsets.size() != 2 ||
      offsets[0] > offsets[1] || offsets[1] > room) {
    return badHeader(path, inQuotes(name) + " has a type, shape or place that cannot be");
  }
  std::uint64_t values = 1;
  for (const std::uint64_t side : out.shape) {
    if (side != 0 && values > room / side) return badHeader(path, inQuotes(name) + " is too large");
    values *= side;
  }
  if (values * type->bytes != offsets[1] - offsets[0])
    return badHeader(path, inQuotes(name) + " has not the bytes of its shape");
  out.begin = base + offsets[0];
  out.end = base + offsets[1];
  return out;
}

struct Measured {
  std::uint64_t differing = 0;
  double largestDifference = 0;
  double largestValue = 0;

  void add(const NumberType& type, const char* a, const char* b) {
    if (type.value != nullptr) {
      const double left = type.value(a);
      const double right = type.value(b);
      for (const double one : {left, right}) {
        if (std::isfinite(one)) largestValue = std::max(largestValue, std::abs(one));
      }
      if (std::memcmp(a, b, type.bytes) == 0) return;
      const double apart = std::abs(left - right);
      largestDifference =
          std::max(largestDifference,
                   std::isfinite(apart) ? apart : std::numeric_limits<double>::infinity());
    } else if (std::memcmp(a, b, type.bytes) == 0) {
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

Result<Measured> measured(const TensorFile& first, const Tensor& a, const TensorFile& second,
                          const Tensor& b) {
  const NumberType& type = *typeOf(a.dtype);
  Measured out;
  for (std::uint64_t done = 0; a.begin + done < a.end;) {
    const auto piece =
        static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, a.end - a.begin - done));
    RAILHEAD_TRY_ASSIGN(const std::string left, first.read(a.begin + done, piece));
    RAILHEAD_TRY_ASSIGN(const std::string right, second.read(b.begin + done, piece));
    for (std::size_t at = 0; at < piece; at += type.bytes)
      out.add(type, left.data() + at, right.data() + at);
    done += piece;
  }
  return out;
}

}  // namespace

Result<TensorFile> TensorFile::open(const std::string& path) {
  os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error::fromErrno(errno, "open " + path);
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) return Error::fromErrno(errno, "look at " + path);
  const auto size = static_cast<std::uint64_t>(about.st_size);
  TensorFile out(path, std::move(fd));
  constexpr std::uint64_t kLength = 8;
  if (size < kLength) return badHeader(path, "it is too short");
  RAILHEAD_TRY_ASSIGN(const std::string length, out.read(0, kLength));
  std::uint64_t header = 0;
  for (std::size_t i = kLength; i-- > 0;)
    header = header << 8 | static_cast<unsigned char>(length[i]);
  if (header > kMaxHeader || header > size - kLength)
    return badHeader(path, "its header is longer than it or 16 MiB");
  RAILHEAD_TRY_ASSIGN(const std::string text, out.read(kLength, header));
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject(text, path));
  const std::uint64_t base = kLength + header;
  for (const auto& [name, entry] : membersOf(json)) {
    if (name == "__metadata__") continue;
    RAILHEAD_TRY_ASSIGN(auto tensor, tensorFrom(*entry, name, base, size - base, path));
    out.tensors_.push_back(std::move(tensor));
  }
  std::sort(out.tensors_.begin(), out.tensors_.end(),
            [](const Tensor& a, const Tensor& b) { return a.name < b.name; });
  return out;
}

const Tensor* TensorFile::find(const std::string& name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const Tensor& one) { return one.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Result<std::string> TensorFile::read(std::uint64_t offset, std::size_t bytes) const {
  std::string out(bytes, '\0');
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t got =
        ::pread(fd_.get(), out.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::fromErrno(errno, "read " + path_);
    if (got == 0) return Error(ErrorCode::kCorrupt, path_ + " ends early");
    done += static_cast<std::size_t>(got);
  }
  return out;
}

Result<std::vector<TensorDifference>> differingTensors(const TensorFile& first,
                                                       const TensorFile& second) {
  constexpr double kNoMeasure = std::numeric_limits<double>::infinity();
  std::vector<TensorDifference> out;
  for (const Tensor& a : first.tensors()) {
    const Tensor* b = second.find(a.name);
    if (b == nullptr) {
      out.push_back({a.name, "is only in the first", kNoMeasure});
    } else if (a.dtype != b->dtype || a.shape != b->shape) {
      out.push_back({a.name, "has another type or shape", kNoMeasure});
    } else {
      RAILHEAD_TRY_ASSIGN(const Measured found, measured(first, a, second, *b));
      if (found.differing == 0) continue;
      const std::uint64_t values = (a.end - a.begin) / typeOf(a.dtype)->bytes;
      out.push_back(
          {a.name,
           std::to_string(found.differing) + " of " + std::to_string(values) + " values differ",
           found.relative()});
    }
  }
  for (const Tensor& b : second.tensors()) {
    if (first.find(b.name) == nullptr) out.push_back({b.name, "is only in the second", kNoMeasure});
  }
  return out;
}

}  // namespace railhead::train

// Our kernels on the host: the arguments are found by the names that the PTX text gives them, so an
// argument list that does not fit the text comes out wrong here as it would on a device.
#include "src/collective/pattern.h"
#include "tests/support/fake_cuda/state.h"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string_view>

namespace railhead::testing_support {
namespace {

std::uint32_t bitsOf(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// binary16 of a small whole number.
std::uint64_t halfBits(std::uint32_t value) {
  if (value == 0) return 0;
  const std::uint32_t bits = bitsOf(static_cast<float>(value));
  const std::uint32_t exponent = (bits >> 23) - 127 + 15;
  return (exponent << 10) | ((bits >> 13) & 0x3ff);
}

struct Element {
  std::string_view name;
  std::size_t bytes;
  std::uint64_t (*encode)(std::uint32_t);
};
constexpr Element kElements[] = {
    {"word", 4, [](std::uint32_t value) -> std::uint64_t { return value; }},
    {"byte", 1, [](std::uint32_t value) -> std::uint64_t { return value & 0xff; }},
    {"int32", 4, [](std::uint32_t value) -> std::uint64_t { return value; }},
    {"int64", 8, [](std::uint32_t value) -> std::uint64_t { return value; }},
    {"float16", 2, halfBits},
    {"bfloat16", 2,
     [](std::uint32_t value) -> std::uint64_t { return bitsOf(static_cast<float>(value)) >> 16; }},
    {"float32", 4,
     [](std::uint32_t value) -> std::uint64_t { return bitsOf(static_cast<float>(value)); }},
    {"float64", 8,
     [](std::uint32_t value) {
       const auto real = static_cast<double>(value);
       std::uint64_t bits = 0;
       std::memcpy(&bits, &real, sizeof bits);
       return bits;
     }},
};

struct Run {
  const Element* element = nullptr;
  std::byte* address = nullptr;
  std::size_t bytes = 0;
  std::uint32_t start = 0;
  std::uint32_t step = 0;
  std::uint32_t terms = 0;
  std::uint32_t mask = 0;
  std::byte* tally = nullptr;
  std::size_t offset = 0;

  std::uint64_t expected(std::uint32_t index) const {
    std::uint32_t sum = 0;
    for (std::uint32_t term = 0; term < terms; ++term)
      sum += collective::mix32(start + index + term * step) & mask;
    return element->encode(sum);
  }
};

std::byte* memoryAt(std::uint64_t address) {
  return reinterpret_cast<std::byte*>(address);  // NOLINT(performance-no-int-to-ptr): the device's
}

void fill(const Run& run) {
  for (std::size_t at = 0, index = 0; at < run.bytes; at += run.element->bytes, ++index) {
    const std::uint64_t bits = run.expected(static_cast<std::uint32_t>(index));
    std::memcpy(run.address + at, &bits, std::min(run.element->bytes, run.bytes - at));
  }
}

void check(const Run& run) {
  std::uint64_t tally[2] = {};
  std::memcpy(tally, run.tally, sizeof tally);
  for (std::size_t at = 0, index = 0; at < run.bytes; at += run.element->bytes, ++index) {
    const std::uint64_t bits = run.expected(static_cast<std::uint32_t>(index));
    if (std::memcmp(run.address + at, &bits, std::min(run.element->bytes, run.bytes - at)) == 0)
      continue;
    ++tally[0];
    tally[1] = std::min<std::uint64_t>(tally[1], run.offset + at);
  }
  std::memcpy(run.tally, tally, sizeof tally);
}

void countPieces(std::byte* tally, std::uint64_t blocks) {
  std::uint64_t counted = 0;
  std::memcpy(&counted, tally, sizeof counted);
  counted += blocks;
  std::memcpy(tally, &counted, sizeof counted);
}

}  // namespace

std::vector<std::unique_ptr<abi::FunctionOpaque>> ptxEntries(const std::string& ptx) {
  std::vector<std::unique_ptr<abi::FunctionOpaque>> out;
  static constexpr std::string_view kEntry = ".visible .entry ";
  for (std::size_t at = ptx.find(kEntry); at != std::string::npos; at = ptx.find(kEntry, at)) {
    at += kEntry.size();
    const std::size_t open = ptx.find('(', at);
    const std::size_t close = ptx.find(')', at);
    if (open == std::string::npos || close == std::string::npos) return {};
    auto function = std::make_unique<abi::FunctionOpaque>();
    function->name = ptx.substr(at, open - at);
    std::string list = ptx.substr(open + 1, close - open - 1);
    std::replace(list.begin(), list.end(), ',', ' ');
    std::istringstream in(list);
    for (std::string param, type, name; in >> param >> type >> name;)
      function->parameters.push_back({name, type == ".u64" ? 8U : 4U});
    out.push_back(std::move(function));
  }
  return out;
}

std::optional<FakeKernelRun> kernelRun(const std::string& name,
                                       const std::map<std::string, std::uint64_t>& arguments) {
  const auto argument = [&](const char* which) {
    const auto found = arguments.find(which);
    return found == arguments.end() ? 0 : found->second;
  };
  FakeKernelRun out;
  if (name == "compute_pieces") {
    if (argument("rounds_") == 0) return std::nullopt;  // it would wrap, and never end
    out.spans.emplace_back(argument("tally_"), sizeof(std::uint64_t));
    out.work = [tally = memoryAt(argument("tally_")), blocks = argument("%nctaid")] {
      countPieces(tally, blocks);
    };
    return out;
  }
  const std::size_t line = name.find('_');
  const std::string verb = name.substr(0, line);
  const auto element =
      std::find_if(std::begin(kElements), std::end(kElements), [&](const Element& each) {
        return line != std::string::npos && each.name == name.substr(line + 1);
      });
  if (element == std::end(kElements) || (verb != "fill" && verb != "check")) return std::nullopt;
  Run run;
  run.element = element;
  run.address = memoryAt(argument("address_"));
  run.bytes = argument("bytes_");
  run.start = static_cast<std::uint32_t>(argument("start_"));
  run.step = static_cast<std::uint32_t>(argument("step_"));
  run.terms = static_cast<std::uint32_t>(argument("terms_"));
  run.mask = static_cast<std::uint32_t>(argument("mask_"));
  out.spans.emplace_back(argument("address_"), run.bytes);
  if (verb == "fill") {
    out.work = [run] { fill(run); };
    return out;
  }
  run.tally = memoryAt(argument("tally_"));
  run.offset = argument("offset_");
  out.spans.emplace_back(argument("tally_"), 2 * sizeof(std::uint64_t));
  out.work = [run] { check(run); };
  return out;
}

}  // namespace railhead::testing_support

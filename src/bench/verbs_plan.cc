#include "src/bench/verbs_plan.h"

#include "src/base/text.h"
#include "src/base/units.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

namespace railhead::bench {
namespace {

constexpr std::array<std::pair<VerbsOperation, std::string_view>, 3> kOperationNames{
    {{VerbsOperation::kWrite, "write"},
     {VerbsOperation::kRead, "read"},
     {VerbsOperation::kSend, "send"}}};

Error outside(const std::string& field, const std::string& value, const std::string& allowed) {
  return Error(ErrorCode::kInvalidArgument, field + " " + value + ": allowed is " + allowed);
}

Result<void> checkMessage(const std::string& field, std::size_t bytes) {
  if (bytes >= VerbsPlan::kMinMessage && bytes <= VerbsPlan::kMaxMessage) return {};
  return outside(
      field, std::to_string(bytes) + " B",
      formatBytes(VerbsPlan::kMinMessage) + " to " + formatBytes(VerbsPlan::kMaxMessage));
}

Result<void> checkOutstanding(const std::string& field, int messages) {
  if (messages >= 1 && messages <= VerbsPlan::kMaxOutstanding) return {};
  return outside(field, std::to_string(messages),
                 "1 to " + std::to_string(VerbsPlan::kMaxOutstanding));
}

Result<std::size_t> parseSize(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int>, 6> kUnits{
      {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"K", 10}, {"M", 20}, {"B", 0}}};
  std::string_view digits = trim(text);
  int shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (!digits.ends_with(unit)) continue;
    digits = trim(digits.substr(0, digits.size() - unit.size()));
    shift = bits;
    break;
  }
  const auto number = parseUnsigned(digits);
  // Larger ones are refused with their value; this keeps the shift from overflowing.
  if (!number || *number > (std::uint64_t{1} << 32)) {
    return Error(ErrorCode::kInvalidArgument,
                 "size " + inQuotes(text) + ": expected bytes, like 8, 64KiB or 8MiB");
  }
  return static_cast<std::size_t>(*number << shift);
}

Result<std::vector<std::size_t>> powersBetween(std::size_t low, std::size_t high) {
  if (!std::has_single_bit(low) || !std::has_single_bit(high) || low > high) {
    return Error(ErrorCode::kInvalidArgument,
                 "sizes " + std::to_string(low) + ".." + std::to_string(high) +
                     ": expected two powers of two, the smaller one first");
  }
  std::vector<std::size_t> out;
  for (std::size_t size = low; size < high; size *= 2) out.push_back(size);
  out.push_back(high);
  return out;
}

}  // namespace

std::string_view verbsOperationName(VerbsOperation operation) {
  for (const auto& [each, name] : kOperationNames) {
    if (each == operation) return name;
  }
  return "";
}

Result<VerbsOperation> parseVerbsOperation(std::string_view name) {
  for (const auto& [operation, each] : kOperationNames) {
    if (each == name) return operation;
  }
  return outside("operation", inQuotes(name), "write, read or send");
}

Result<std::vector<std::size_t>> parseMessageSizes(std::string_view text) {
  if (const auto dots = text.find(".."); dots != std::string_view::npos) {
    RAILHEAD_TRY_ASSIGN(const auto low, parseSize(text.substr(0, dots)));
    RAILHEAD_TRY_ASSIGN(const auto high, parseSize(text.substr(dots + 2)));
    return powersBetween(low, high);
  }
  std::vector<std::size_t> out;
  for (const auto part : split(text, ',')) {
    RAILHEAD_TRY_ASSIGN(const auto size, parseSize(part));
    out.push_back(size);
  }
  return out;
}

std::size_t VerbsPlan::bufferBytes() const {
  std::size_t most = std::max(bandwidthLoad().bytes(), rateLoad().bytes());
  for (const auto size : sizes) most = std::max(most, sizeLoad(size).bytes());
  return most;
}

int VerbsPlan::mostOutstanding() const { return std::max(outstanding, rateOutstanding); }

double VerbsPlan::longestSeconds() const {
  return std::max({seconds, latencySeconds, rateSeconds, sizeSeconds});
}

Result<void> VerbsPlan::check() const {
  RAILHEAD_TRY(checkMessage("--size", messageBytes));
  RAILHEAD_TRY(checkMessage("--rate-bytes", rateBytes));
  for (const auto size : sizes) RAILHEAD_TRY(checkMessage("--sizes", size));
  if (sizes.size() > kMaxSizes) {
    return outside("--sizes", "of " + std::to_string(sizes.size()) + " sizes",
                   "up to " + std::to_string(kMaxSizes));
  }
  RAILHEAD_TRY(checkOutstanding("--outstanding", outstanding));
  RAILHEAD_TRY(checkOutstanding("--rate-outstanding", rateOutstanding));
  if (bufferBytes() > kMaxBuffer) {
    return outside("message size x messages in flight", formatBytes(bufferBytes()),
                   "up to " + formatBytes(kMaxBuffer));
  }
  if (pairsPerRail < 1 || pairsPerRail > kMaxPairs ||
      pairsPerRail > std::min(outstanding, rateOutstanding)) {
    return outside("--qps", std::to_string(pairsPerRail),
                   "1 to " + std::to_string(kMaxPairs) +
                       ", no more than --outstanding and --rate-outstanding");
  }
  for (const auto& [option, each] :
       {std::pair("--seconds", seconds), std::pair("--latency-seconds", latencySeconds),
        std::pair("--rate-seconds", rateSeconds), std::pair("--size-seconds", sizeSeconds)}) {
    if (!std::isfinite(each) || each < 0.01 || each > kMaxSeconds) {
      return outside(option, formatNumber(each), "0.01 to 600");
    }
  }
  if (latencySamples < kMinLatencySamples || latencySamples > 1'000'000) {
    return outside("latency samples", std::to_string(latencySamples), "20 to 1000000");
  }
  return {};
}

}  // namespace railhead::bench

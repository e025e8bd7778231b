#include "src/bench/verbs_plan.h"

#include "src/base/units.h"

#include <cmath>
#include <string>

namespace railhead::bench {
namespace {

Error outside(const std::string& field, const std::string& value, const std::string& allowed) {
  return Error(ErrorCode::kInvalidArgument, field + " " + value + ": allowed is " + allowed);
}

}  // namespace

Result<void> VerbsPlan::check() const {
  if (messageBytes < kMinMessage || messageBytes > kMaxMessage) {
    return outside("message size", std::to_string(messageBytes),
                   formatBytes(kMinMessage) + " to " + formatBytes(kMaxMessage));
  }
  if (outstanding < 1 || outstanding > kMaxOutstanding) {
    return outside("messages in flight", std::to_string(outstanding),
                   "1 to " + std::to_string(kMaxOutstanding));
  }
  if (bufferBytes() > kMaxBuffer) {
    return outside("message size x messages in flight", formatBytes(bufferBytes()),
                   "up to " + formatBytes(kMaxBuffer));
  }
  if (pairsPerRail < 1 || pairsPerRail > kMaxPairs || pairsPerRail > outstanding) {
    return outside("queue pairs per rail", std::to_string(pairsPerRail),
                   "1 to " + std::to_string(kMaxPairs) + ", no more than messages in flight");
  }
  for (const double each : {seconds, latencySeconds}) {
    if (!std::isfinite(each) || each < 0.01 || each > kMaxSeconds) {
      return outside("seconds", std::to_string(each), "0.01 to 600");
    }
  }
  if (latencySamples < kMinLatencySamples || latencySamples > 1'000'000) {
    return outside("latency samples", std::to_string(latencySamples), "20 to 1000000");
  }
  return {};
}

}  // namespace railhead::bench

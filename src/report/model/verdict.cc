#include "src/report/model/verdict.h"

#include "src/base/text.h"
#include "src/base/units.h"

#include <cmath>
#include <cstdio>
#include <set>
#include <vector>

namespace railhead::report {
namespace {

std::string railsInWords(const Report& report) {
  std::set<int> rails;
  for (const auto& one : report.rdma.perRail) rails.insert(one.rail);
  if (rails.size() > 2) return "over all " + std::to_string(rails.size()) + " rails";
  if (rails.size() == 2 || report.rdma.bothRailsGbps) return "over both rails";
  return "over one rail";
}

std::string successSentence(const Report& report) {
  const Rdma& rdma = report.rdma;
  std::vector<std::string> parts{"every byte arrived " + railsInWords(report)};
  if (const auto gain = shareOf(rdma.bothRailsGbps, rdma.oneRailGbps)) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f × one rail", *gain);
    parts.emplace_back(text);
  }
  auto share = shareOf(rdma.bothRailsGbps, rdma.bothRailsCeilingGbps);
  if (!share) share = shareOf(rdma.oneRailGbps, rdma.ceilingGbps);
  if (share) parts.push_back(formatShare(*share) + " of the ceiling");
  return join(parts, ", ");
}

std::string unverifiedSentence(const Rdma& rdma) {
  if (rdma.bytesWrong > 0) {
    return std::to_string(rdma.bytesWrong) + " of " + std::to_string(rdma.bytesChecked) +
           " checked bytes arrived wrong";
  }
  if (rdma.bytesChecked > 0) return "only a part of the bytes was checked";
  return "no byte was checked";
}

}  // namespace

Verdict verdictOf(const Report& report) {
  if (!report.result.ok) {
    const Outcome& result = report.result;
    Verdict stopped;
    stopped.headline =
        result.failedStep.empty() ? "Stopped" : "Stopped at “" + result.failedStep + "”";
    stopped.sentence = result.error.empty() ? "no cause was recorded" : result.error;
    return stopped;
  }
  if (!report.rdma.verified) return {false, "RDMA not verified", unverifiedSentence(report.rdma)};
  return {true, "RDMA verified", successSentence(report)};
}

std::optional<double> shareOf(std::optional<double> part, std::optional<double> whole) {
  if (!part || !whole || *whole <= 0) return std::nullopt;
  return *part / *whole;
}

std::string formatShare(double share) {
  char text[32];
  // The small addend absorbs binary fractions: 0.29 * 100 is 28.999….
  std::snprintf(text, sizeof text, "%.0f %%", std::floor(share * 100 + 1e-9));
  return text;
}

std::string formatGbps(double gbps) { return BitRate{gbps * 1e9}.toString(); }

}  // namespace railhead::report

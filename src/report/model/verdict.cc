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
  const std::size_t rails = railCount(report.rdma);
  if (rails > 2) return "over all " + std::to_string(rails) + " rails";
  return rails == 2 ? "over both rails" : "over one rail";
}

std::string successSentence(const Report& report) {
  const Rdma& rdma = report.rdma;
  std::vector<std::string> parts{"every byte arrived " + railsInWords(report)};
  const auto gain = shareOf(rdma.bothRailsGbps, rdma.oneRailGbps);
  if (gain && railCount(rdma) > 1) {
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

std::size_t railCount(const Rdma& rdma) {
  std::set<int> rails;
  for (const auto& one : rdma.perRail) rails.insert(one.rail);
  return rails.size();
}

std::string allRailsName(const Rdma& rdma) {
  const std::size_t rails = railCount(rdma);
  if (rails == 2) return "both rails";
  return rails == 0 ? "all rails at once" : std::to_string(rails) + " rails at once";
}

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

#include "src/report/model/verdict.h"

#include <gtest/gtest.h>

namespace railhead::report {
namespace {

Report measured() {
  Report report;
  report.result.ok = true;
  report.rdma.verified = true;
  report.rdma.oneRailGbps = 0.0367;
  report.rdma.bothRailsGbps = 0.0709;
  report.rdma.ceilingGbps = 0.0378;
  report.rdma.bothRailsCeilingGbps = 0.0756;
  report.rdma.perRail = {{.rail = 0}, {.rail = 1}};
  return report;
}

TEST(Verdict, SaysWhatWasProven) {
  const Verdict verdict = verdictOf(measured());
  EXPECT_TRUE(verdict.good);
  EXPECT_EQ(verdict.line(),
            "RDMA verified: every byte arrived over both rails, 1.93 × one rail, 93 % of the "
            "ceiling");
}

TEST(Verdict, ClaimsNoMoreThanWasMeasured) {
  Report report = measured();
  report.rdma.bothRailsGbps.reset();
  report.rdma.ceilingGbps.reset();
  report.rdma.perRail.pop_back();
  EXPECT_EQ(verdictOf(report).line(), "RDMA verified: every byte arrived over one rail");
  report.rdma.perRail = {{.rail = 0}, {.rail = 1}, {.rail = 2}, {.rail = 0}};
  EXPECT_EQ(verdictOf(report).sentence, "every byte arrived over all 3 rails");
}

TEST(Verdict, NamesTheRealNumberOfRails) {
  Report report = measured();
  EXPECT_EQ(allRailsName(report.rdma), "both rails");
  report.rdma.perRail = {{.rail = 0}, {.rail = 1}, {.rail = 2}, {.rail = 0}};
  EXPECT_EQ(railCount(report.rdma), 3U);
  EXPECT_EQ(allRailsName(report.rdma), "3 rails at once");
  // One rail "at once" is the same measurement again: no gain to speak of.
  report.rdma.perRail = {{.rail = 0}};
  report.rdma.bothRailsGbps = report.rdma.oneRailGbps;
  report.rdma.bothRailsCeilingGbps = report.rdma.ceilingGbps;
  EXPECT_EQ(verdictOf(report).sentence, "every byte arrived over one rail, 97 % of the ceiling");
}

TEST(Verdict, IsNotGoodWithoutTheCheck) {
  Report report = measured();
  report.rdma.verified = false;
  EXPECT_FALSE(verdictOf(report).good);
  EXPECT_EQ(verdictOf(report).line(), "RDMA not verified: no byte was checked");
  report.rdma.bytesChecked = 4096;
  EXPECT_EQ(verdictOf(report).sentence, "only a part of the bytes was checked");
  report.rdma.bytesWrong = 3;
  EXPECT_EQ(verdictOf(report).sentence, "3 of 4096 checked bytes arrived wrong");
}

TEST(Verdict, NamesTheStepThatStoppedTheRun) {
  Report report = measured();
  report.result = {.ok = false, .failedStep = "Boot two nodes", .error = "node-b did not answer"};
  EXPECT_FALSE(verdictOf(report).good);
  EXPECT_EQ(verdictOf(report).line(), "Stopped at “Boot two nodes”: node-b did not answer");
  report.result = {};
  EXPECT_EQ(verdictOf(report).line(), "Stopped: no cause was recorded");
}

TEST(Share, NeverReadsAsTheWholeWhenItFallsShort) {
  EXPECT_EQ(formatShare(0.999), "99 %");
  EXPECT_EQ(formatShare(1.0), "100 %");
  EXPECT_EQ(formatShare(0.29), "29 %");
  EXPECT_EQ(formatShare(1.024), "102 %");
  EXPECT_FALSE(shareOf(1.0, 0.0).has_value());
  EXPECT_FALSE(shareOf(std::nullopt, 1.0).has_value());
  EXPECT_FALSE(shareOf(1.0, std::nullopt).has_value());
}

}  // namespace
}  // namespace railhead::report

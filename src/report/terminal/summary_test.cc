#include "src/report/terminal/summary.h"

#include "src/report/model/json.h"
#include "src/report/terminal/text_width.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report reportFrom(const std::string& name) {
  std::ifstream file("tests/fixtures/report/" + name);
  std::stringstream text;
  text << file.rdbuf();
  auto report = fromJson(text.str());
  EXPECT_TRUE(report.has_value()) << name;
  return report.has_value() ? *report : Report{};
}

std::string summaryOf(const Report& report, const TerminalStyle& style = {}) {
  std::ostringstream out;
  printSummary(out, report, style, {"/tmp/d/report.json", "/tmp/d/report.html"});
  return out.str();
}

void expectOneScreen(const std::string& text) {
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 24) << text;
  std::stringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(displayWidth(line), 100U) << line;
}

TEST(Summary, ShowsTheRunOnOneScreen) {
  const std::string text = summaryOf(reportFrom("two_sparks.json"));
  EXPECT_EQ(
      text,
      "✓ RDMA verified: every byte arrived over both rails, 1.93 × one rail, 94 % of the ceiling\n"
      "\n"
      "  node    kernel             PFs  VFs  offers\n"
      "  node-a  7.3.4+deb13-amd64    2    8  nvidia.com/cx7_qsfp: 4\n"
      "  node-b  7.3.4+deb13-amd64    2    8  nvidia.com/cx7_qsfp: 4\n"
      "\n"
      "  pod          node    net1          net2\n"
      "  demo/writer  node-a  10.42.0.1/24  10.42.1.1/24\n"
      "  demo/reader  node-b  10.42.0.5/24  10.42.1.5/24\n"
      "\n"
      "  RDMA write                                             share of ceiling\n"
      "  one rail     36.1 Mb/s  ██████████████                  97 % of 37 Mb/s\n"
      "  ib_write_bw  36.4 Mb/s  ██████████████                  98 % of 37 Mb/s\n"
      "  both rails   69.8 Mb/s  ██████████████████████████░░  94 % of 74.1 Mb/s\n"
      "  latency        1.62 ms  p99 2.1 ms\n"
      "  checked        128 MiB  no byte wrong\n"
      "\n"
      "  11 steps in 68.4 s · /tmp/d/report.json /tmp/d/report.html\n");
  expectOneScreen(text);
}

TEST(Summary, OfAFailedRunSaysWhyAndWhatToDo) {
  const std::string text = summaryOf(reportFrom("failed_boot.json"));
  EXPECT_THAT(text, HasSubstr("✗ Stopped at “Boot two nodes”: node-b did not answer within 20 s"));
  EXPECT_THAT(text, HasSubstr("what to do  Build the guest image again"));
  EXPECT_THAT(text, Not(HasSubstr("one rail")));
  EXPECT_THAT(text, HasSubstr("3 steps in 27.2 s"));
}

TEST(Summary, StaysOnOneScreenWithManyNodes) {
  Report report = reportFrom("two_sparks.json");
  for (int i = 2; i < 16; ++i) {
    report.nodes.push_back(report.nodes[0]);
    report.pods.push_back(report.pods[0]);
  }
  const std::string text = summaryOf(report);
  EXPECT_THAT(text, HasSubstr("and 12 more nodes"));
  EXPECT_THAT(text, HasSubstr("and 12 more pods"));
  expectOneScreen(text);
}

TEST(Summary, NamesTheRealNumberOfRails) {
  Report report = reportFrom("two_sparks.json");
  report.rdma.perRail.push_back(report.rdma.perRail.back());
  report.rdma.perRail.back().rail = 2;
  EXPECT_THAT(summaryOf(report), HasSubstr("  3 rails at once  69.8 Mb/s"));
  report.rdma.perRail.resize(1);
  EXPECT_THAT(summaryOf(report), Not(HasSubstr("at once")));
  EXPECT_THAT(summaryOf(report), Not(HasSubstr("both rails")));
}

TEST(Summary, NeverClaimsCheckedBytesWereRightWhenSomeWereNot) {
  Report report = reportFrom("two_sparks.json");
  report.rdma.verified = false;
  report.rdma.bytesWrong = 3;
  const std::string text = summaryOf(report);
  EXPECT_THAT(text, HasSubstr("3 bytes wrong"));
  EXPECT_THAT(text, HasSubstr("✗ RDMA not verified"));
}

TEST(Summary, IsAsciiWhenItMustBeAndHarmlessAlways) {
  Report report = reportFrom("two_sparks.json");
  report.nodes[0].name = "\x1b[2Jnode";
  const std::string text = summaryOf(report, {.unicode = false});
  EXPECT_THAT(text, HasSubstr("##########################--"));
  EXPECT_THAT(text, Not(HasSubstr("█")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace railhead::report

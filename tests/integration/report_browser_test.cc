// The demo's page in a real browser (browser_fixture.h).
#include "src/report/html/html.h"
#include "src/report/model/json.h"
#include "src/report/model/verdict.h"
#include "tests/integration/browser_fixture.h"

#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace railhead::report {
namespace {

using testing_support::between;
using testing_support::has;
using testing_support::kDesktopWidth;
using testing_support::kPhoneWidth;
using testing_support::PageInBrowser;
using testing_support::Picture;

Report reportFrom(const std::string& name) {
  std::ifstream file("tests/fixtures/report/" + name);
  std::stringstream text;
  text << file.rdbuf();
  auto report = fromJson(text.str());
  EXPECT_TRUE(report.has_value()) << name;
  return report.has_value() ? *report : Report{};
}

// `count` nodes with a pod each, every rail on one switch.
Report clusterOf(int count) {
  const Report pair = reportFrom("two_sparks.json");
  Report cluster = pair;
  cluster.nodes.clear();
  cluster.pods.clear();
  for (auto& link : cluster.topology.links) link.ends.clear();
  for (int i = 0; i < count; ++i) {
    Node node = pair.nodes[0];
    node.name = "node-" + std::to_string(i);
    Pod pod = pair.pods[0];
    pod.name = "rank-" + std::to_string(i);
    pod.node = node.name;
    for (auto& link : cluster.topology.links) {
      link.ends.push_back({node.name, node.pfs.at(static_cast<std::size_t>(link.rail)).name});
    }
    cluster.nodes.push_back(node);
    cluster.pods.push_back(pod);
  }
  return cluster;
}

class ReportInBrowser : public PageInBrowser {
 protected:
  std::string domOf(const Report& report) { return PageInBrowser::domOf(toHtml(report)); }
  Picture screenshotOf(const Report& report, int width, int height, bool dark = false) {
    return PageInBrowser::screenshotOf(toHtml(report), width, height, dark);
  }
};

TEST_F(ReportInBrowser, ShowsVerdictTopologyAndFigures) {
  const Report report = reportFrom("two_sparks.json");
  const std::string dom = domOf(report);
  EXPECT_TRUE(has(between(dom, "<h1>", "</h1>"), verdictOf(report).sentence));
  for (const char* form : {"wide", "narrow"}) {
    const std::string picture =
        between(dom, std::string("<svg class=\"topology ") + form + "\"", "</svg>");
    for (const char* text :
         {"node-a", "node-b", "demo/writer", "demo/reader", "10.42.0.1/24", "10.42.1.5/24",
          "enP2p1s0f0np0", "cable-a carries rail 0 at 40 Mb/s"}) {
      EXPECT_TRUE(has(picture, text)) << form;
    }
  }
  // The page counts as the program does.
  const std::string bars = between(dom, "id=\"bandwidth\"", "</section>");
  const Rdma& rdma = report.rdma;
  EXPECT_TRUE(has(bars, formatGbps(*rdma.bothRailsGbps)));
  EXPECT_TRUE(has(bars, formatShare(*shareOf(rdma.bothRailsGbps, rdma.bothRailsCeilingGbps)) +
                            " of " + formatGbps(*rdma.bothRailsCeilingGbps)));
  EXPECT_TRUE(has(bars, "ib_write_bw"));
  EXPECT_TRUE(has(between(dom, "id=\"steps\"", "</section>"), "12.3 s"));
  EXPECT_TRUE(has(between(dom, "id=\"environment\"", "</section>"), "Debian GNU/Linux 12"));
  EXPECT_TRUE(has(dom, "All 16 virtual functions"));
}

TEST_F(ReportInBrowser, ExplainsAFailedRun) {
  const std::string dom = domOf(reportFrom("failed_boot.json"));
  EXPECT_TRUE(has(dom, "Build the guest image again"));
  EXPECT_TRUE(has(dom, "Unknown symbol dca_register_notify"));
  EXPECT_TRUE(has(between(dom, "<svg class=\"topology wide\"", "</svg>"), "not reached"));
  EXPECT_FALSE(has(dom, "id=\"bandwidth\""));
}

TEST_F(ReportInBrowser, DrawsAnyNumberOfNodes) {
  for (const int count : {1, 3, 16}) {
    const std::string dom = domOf(clusterOf(count));
    const std::string picture = between(dom, "<svg class=\"topology wide\"", "</svg>");
    for (int i = 0; i < count; ++i) {
      EXPECT_TRUE(has(picture, "rank-" + std::to_string(i))) << count;
    }
  }
}

TEST_F(ReportInBrowser, NamesTheRealNumberOfRailsAndTheSlowestPair) {
  Report report = reportFrom("two_sparks.json");
  EXPECT_TRUE(has(between(domOf(report), "id=\"bandwidth\"", "</section>"), "Both rails"));
  for (int rail = 0; rail < 3; ++rail) {
    RailMeasurement back = report.rdma.perRail.front();
    back.rail = rail;
    std::swap(back.from, back.to);
    report.rdma.perRail.push_back(back);
  }
  const std::string bars = between(domOf(report), "id=\"bandwidth\"", "</section>");
  EXPECT_TRUE(has(bars, "3 rails at once"));
  EXPECT_FALSE(has(bars, "Both rails"));
  EXPECT_TRUE(has(bars, "Of 2 pairs of pods the slowest, " + report.rdma.from));
}

TEST_F(ReportInBrowser, StandsAReportThatHoldsNothing) {
  EXPECT_TRUE(has(domOf(Report{}), "no cause was recorded"));
}

TEST_F(ReportInBrowser, RunsAndLoadsNothingThatANameAsksFor) {
  const std::string attack =
      "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'"
      "</script>";
  Report report = reportFrom("two_sparks.json");
  for (auto& link : report.topology.links) link.ends[0].node = attack;
  report.topology.name = attack;
  report.nodes[0].name = attack;
  report.nodes[0].allocatable[attack] = 1;
  report.nodes[0].pfs[0].driver = attack;
  report.pods[0].node = attack;
  report.pods[0].interfaces[0].address = attack;
  report.steps[0].detail = attack;
  report.environment.hostOs = attack;
  const std::string dom = domOf(report);
  EXPECT_FALSE(has(dom, "<img"));
  EXPECT_TRUE(has(dom, "<title>RDMA verified · Railhead demo report</title>"));
  EXPECT_TRUE(has(between(dom, "id=\"steps\"", "</section>"), "&lt;img src=x"));
}

constexpr std::uint32_t kLightPage = 0xf5f6f8, kDarkPage = 0x0e1116;
constexpr std::uint32_t kLightGood = 0x11734b, kLightBad = 0xb3261e;
constexpr std::uint32_t kLightRail0 = 0x2563eb, kLightRail1 = 0xd9680f;
constexpr std::uint32_t kDarkRail0 = 0x6ea0ff, kDarkRail1 = 0xf59a4a;

TEST_F(ReportInBrowser, LooksAsDesignedOnADesktop) {
  const Picture picture = screenshotOf(reportFrom("two_sparks.json"), kDesktopWidth, 1400);
  EXPECT_GT(picture.colours.size(), 100U) << "blank, or without text";
  EXPECT_GT(picture.shareOf(kLightPage), 0.1);
  EXPECT_LT(picture.shareOf(kLightPage), 0.5);
  EXPECT_GT(picture.shareOf(kLightGood), 0.0005);
  EXPECT_GT(picture.shareOf(kLightRail0), 0.003) << "bars and rails in the colour of rail 0";
  EXPECT_GT(picture.shareOf(kLightRail1), 0.001) << "bars and rails in the colour of rail 1";
  EXPECT_EQ(picture.shareOf(kLightBad), 0);
}

TEST_F(ReportInBrowser, LooksAsDesignedInTheDark) {
  const Picture picture = screenshotOf(reportFrom("two_sparks.json"), kDesktopWidth, 1400, true);
  EXPECT_GT(picture.shareOf(kDarkPage), 0.1);
  EXPECT_EQ(picture.shareOf(kLightPage), 0);
  EXPECT_GT(picture.shareOf(kDarkRail0), 0.003);
  EXPECT_GT(picture.shareOf(kDarkRail1), 0.001);
}

TEST_F(ReportInBrowser, LooksAsDesignedOnAPhone) {
  const Picture picture = screenshotOf(reportFrom("failed_boot.json"), kPhoneWidth, 1400);
  EXPECT_GT(picture.colours.size(), 100U);
  EXPECT_GT(picture.shareOf(kLightBad), 0.001);
  EXPECT_GT(picture.shareOf(kLightRail0), 0.0005);
  EXPECT_LT(picture.shareOf(kLightGood), 0.0005) << "only the ticks of a failed run are green";
}

}  // namespace
}  // namespace railhead::report

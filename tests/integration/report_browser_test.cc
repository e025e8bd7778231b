// The report's page in a real browser: what a reader sees, at two widths, in light and dark.
// Skipped where there is no Chromium, except where CI=true: there its absence is a failure.
#include "src/os/filesystem.h"
#include "src/os/process.h"
#include "src/report/model/json.h"
#include "src/report/model/verdict.h"
#include "src/report/write.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

namespace railhead::report {
namespace {

constexpr int kPhoneWidth = 390;
constexpr int kDesktopWidth = 1280;

Report reportFrom(const std::string& name) {
  std::ifstream file("tests/fixtures/report/" + name);
  std::stringstream text;
  text << file.rdbuf();
  auto report = fromJson(text.str());
  EXPECT_TRUE(report.has_value()) << name;
  return report.has_value() ? *report : Report{};
}

// Whether the page has the text. A matcher would print the whole page when it has not.
bool has(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const auto start = text.find(from);
  EXPECT_NE(start, std::string::npos) << from;
  if (start == std::string::npos) return {};
  const auto end = text.find(to, start);
  return text.substr(start, end - start);
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

struct Picture {
  std::uint32_t width = 0, height = 0;
  std::map<std::uint32_t, std::size_t> colours;  // 0xRRGGBB → pixels

  // Share of the picture in that colour.
  double shareOf(std::uint32_t colour) const {
    const auto at = colours.find(colour);
    return at == colours.end() ? 0 : static_cast<double>(at->second) / (width * height);
  }
};

Picture pictureFrom(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  Picture picture;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0) {
    ADD_FAILURE() << path << ": " << image.message;
    return picture;
  }
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0) << image.message;
  picture.width = image.width;
  picture.height = image.height;
  for (std::size_t i = 0; i + 2 < pixels.size(); i += 3) {
    const std::uint32_t colour = static_cast<std::uint32_t>(pixels[i]) << 16 |
                                 static_cast<std::uint32_t>(pixels[i + 1]) << 8 | pixels[i + 2];
    ++picture.colours[colour];
  }
  return picture;
}

class ReportInBrowser : public ::testing::Test {
 protected:
  void SetUp() override {
    browser_ = findBrowser();
    if (browser_.empty()) {
      const char* ci = std::getenv("CI");
      ASSERT_FALSE(ci != nullptr && std::string(ci) == "true") << "CI has no Chromium in PATH";
      GTEST_SKIP() << "no Chromium in PATH: apt-get install chromium";
    }
    std::string name = ::testing::TempDir() + "report-browser-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    auto opened = os::RootedFilesystem::open(folder_);
    ASSERT_TRUE(opened.has_value()) << opened.error().describe();
    files_ = std::move(*opened);
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  void write(const Report& report) {
    const auto written = writeReport(*files_, "/", report);
    ASSERT_TRUE(written.has_value()) << written.error().describe();
  }

  // What the page shows after its scripts ran, at a phone's width; without the scripts themselves.
  std::string domOf(const Report& report) {
    write(report);
    std::string page = *files_->readFile("/report.html");
    // The only way to ask a headless browser for a measure. Its window is never narrower than 500,
    // where the page already has its form for phones; the body is then made as narrow as one.
    const std::string probe = "<script>document.body.style.width = '" +
                              std::to_string(kPhoneWidth) +
                              "px'; document.body.dataset.width = document.body.scrollWidth;"
                              "</script>";
    page.insert(page.rfind("</body>"), probe);
    EXPECT_TRUE(files_->replaceFile("/report.html", page, 0644).has_value());
    std::string dom = browse({"--dump-dom"}, kPhoneWidth, 844);
    dom.resize(std::min(dom.size(), dom.find("<script type=")));
    EXPECT_EQ(between(dom, "data-width=\"", "\" "), "data-width=\"" + std::to_string(kPhoneWidth))
        << "the page is wider than a phone";
    EXPECT_FALSE(has(dom, "could not be drawn"));
    return dom;
  }

  Picture screenshotOf(const Report& report, int width, int height, bool dark = false) {
    write(report);
    const std::string path = folder_ + "/screen.png";
    // Blink's own numbering: 0 dark, 1 light.
    browse({"--screenshot=" + path,
            std::string("--blink-settings=preferredColorScheme=") + (dark ? "0" : "1")},
           width, height);
    Picture picture = pictureFrom(path);
    EXPECT_EQ(picture.width, static_cast<std::uint32_t>(width));
    EXPECT_EQ(picture.height, static_cast<std::uint32_t>(height));
    return picture;
  }

 private:
  static std::string findBrowser() {
    const char* path = std::getenv("PATH");
    std::stringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
        const std::string program = folder + "/" + name;
        if (access(program.c_str(), X_OK) == 0) return program;
      }
    }
    return {};
  }

  std::string browse(const std::vector<std::string>& options, int width, int height) {
    os::ProcessSpec spec;
    spec.argv = {browser_,
                 "--headless",
                 "--no-sandbox",
                 "--disable-gpu",
                 "--disable-background-networking",
                 "--no-first-run",
                 "--hide-scrollbars",
                 "--enable-logging=stderr",
                 "--user-data-dir=" + folder_ + "/profile",
                 "--window-size=" + std::to_string(width) + "," + std::to_string(height)};
    spec.argv.insert(spec.argv.end(), options.begin(), options.end());
    spec.argv.push_back("file://" + folder_ + "/report.html");
    spec.deadline = std::chrono::seconds(90);
    const auto result = os::SystemProcessRunner().run(spec);
    if (!result.has_value()) {
      ADD_FAILURE() << result.error().describe();
      return {};
    }
    EXPECT_EQ(result->exitCode, 0) << result->errorOutput;
    EXPECT_FALSE(has(result->errorOutput, "CONSOLE")) << "the page complained";
    return result->output;
  }

  std::string browser_;
  std::string folder_;
  std::unique_ptr<os::Filesystem> files_;
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

// The page of measurements in a real browser (browser_fixture.h).
#include "src/report/measurements/page.h"
#include "tests/integration/browser_fixture.h"

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using nlohmann::json;
using testing_support::between;
using testing_support::has;
using testing_support::kDesktopWidth;
using testing_support::kPhoneWidth;
using testing_support::PageInBrowser;

json fixture(const std::string& name) {
  std::ifstream file("tests/fixtures/report/measurements/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str());
}

class MeasurementsInBrowser : public PageInBrowser {
 protected:
  static std::string pageOf(const std::vector<json>& documents, const std::string& compared = {}) {
    Measurements all{"0.1.0", {}, compared, 0};
    for (const auto& document : documents) {
      auto read = readMeasurement("run/file.json", document.dump());
      EXPECT_TRUE(read.has_value()) << read.error().describe();
      if (read.has_value()) all.files.push_back(*read);
    }
    return toHtml(all);
  }
};

std::string comparison() {
  return json({{"schema", "railhead.bench.compare/1"},
               {"lines",
                {{{"line", "all_reduce float32 8192"},
                  {"before_us", 34.8},
                  {"after_us", 31.5},
                  {"ratio", 0.905},
                  {"p", 0.00002},
                  {"change", "faster"}}}},
               {"missing", json::array()},
               {"slower", 0},
               {"faster", 1}})
      .dump();
}

TEST_F(MeasurementsInBrowser, ShowsPathCurvesRailsFindingsAndWhatWasChecked) {
  const std::string dom = domOf(pageOf({fixture("verify_spark.json"), fixture("sweep_before.json"),
                                        fixture("verbs.json"), fixture("doctor.json")}));
  EXPECT_TRUE(has(between(dom, "<h1>", "</h1>"), "RDMA is broken here"));
  EXPECT_TRUE(has(between(dom, "id=\"actions\"", "</section>"), "give the pod IPC_LOCK"));
  for (const char* form : {"wide", "narrow"}) {
    const std::string picture =
        between(dom, std::string("<svg class=\"topology path ") + form + "\"", "</svg>");
    for (const char* text : {"rank 0 (spark-a)", "rank 1 (spark-b)", "NVIDIA GB10",
                             "rocep1s0f0 carries the bytes", "hop impossible"}) {
      EXPECT_TRUE(has(picture, text)) << form << ": " << text;
    }
  }
  const std::string busbw = between(dom, "id=\"busbw\"", "</section>");
  EXPECT_TRUE(has(busbw, "<canvas"));
  EXPECT_TRUE(has(busbw, "role=\"slider\""));
  EXPECT_TRUE(has(busbw, "ceiling 24.5 GB/s")) << "read out for the largest size";
  EXPECT_TRUE(has(between(busbw, "<details", "</details>"), "2 MiB"));
  EXPECT_TRUE(has(between(dom, "id=\"latency\"", "</section>"), "32 KiB"));
  EXPECT_TRUE(has(between(dom, "id=\"rails\"", "</section>"), "96 % of 196 Gb/s"));
  const std::string rails = between(dom, "id=\"rails\"", "</section>");
  EXPECT_TRUE(has(rails, "<canvas"));
  EXPECT_TRUE(has(rails, "RDMA write: bandwidth"));
  EXPECT_TRUE(has(rails,
                  "8 MiB: Rail 0 106 Gb/s, Rail 1 105 Gb/s, 2 rails at once 188 Gb/s, "
                  "ceiling of rail 0 126 Gb/s, ceiling of all 196 Gb/s"))
      << "read out for the largest size";
  EXPECT_TRUE(has(rails, "6.05 M/s")) << "the message rate of a rail";
  EXPECT_TRUE(has(rails, "11.4 M/s")) << "of all at once";
  EXPECT_TRUE(has(rails, "6 sizes, each against its ceiling"));
  EXPECT_TRUE(has(between(dom, "id=\"directions\"", "</section>"), "speaks of the NIC alone"));
  EXPECT_TRUE(has(between(dom, "id=\"doctor\"", "</section>"), "no NCCL log was given"));
  EXPECT_TRUE(has(between(dom, "id=\"data-check\"", "</section>"), "Every byte that was compared"));
  EXPECT_TRUE(has(between(dom, "id=\"environment\"", "</section>"), "6.11.0-1016-nvidia"));
}

TEST_F(MeasurementsInBrowser, ShowsWhatALogSaysOfEachKindOfDirection) {
  json log = fixture("verify_log.json");
  log["warnings"] = {"something is <b>amiss</b>"};
  const std::string dom = domOf(pageOf({log}));
  EXPECT_TRUE(has(between(dom, "<h1>", "</h1>"), "NCCL's log says sockets, not RDMA"));
  const std::string said = between(dom, "id=\"nccl-log\"", "</section>");
  EXPECT_TRUE(has(said, "8 channel lines of 2 processes."));
  EXPECT_TRUE(has(said, "rank 0 (node-a:5043) → rank 1 (node-b:5044)"));
  EXPECT_TRUE(has(said, " and 1 alike"));
  EXPECT_TRUE(has(said, "Socket/0: 2 channels"));
  EXPECT_TRUE(has(said, "something is &lt;b&gt;amiss&lt;/b&gt;"));
  EXPECT_TRUE(has(between(dom, "id=\"environment\"", "</section>"), "2.28.3+cuda13.0"));
}

TEST_F(MeasurementsInBrowser, ShowsReadsOfOneRailAndAFileFromBeforeThereWereSizes) {
  json reads = fixture("verbs.json");
  reads["plan"]["operation"] = "read";
  reads["rails"].erase(1);
  reads["all_rails"]["sizes"] = reads["rails"][0]["sizes"];
  const std::string dom = domOf(pageOf({reads}));
  EXPECT_TRUE(has(between(dom, "<dl class=\"figures\"", "</dl>"), "RDMA read, 1 rail"));
  const std::string rails = between(dom, "id=\"rails\"", "</section>");
  EXPECT_TRUE(has(rails, "RDMA read: bandwidth"));
  EXPECT_FALSE(has(rails, "at once"));

  json old = fixture("verbs.json");
  for (const char* name : {"operation", "rate_bytes", "sizes"}) old["plan"].erase(name);
  for (auto& rail : old["rails"]) {
    for (const char* name : {"message_rate", "sizes"}) rail.erase(name);
  }
  for (const char* name : {"messages_per_second", "sizes"}) old["all_rails"].erase(name);
  for (const char* name : {"memory", "peer_memory", "latency_by"}) old.erase(name);
  const std::string before = between(domOf(pageOf({old})), "id=\"rails\"", "</section>");
  EXPECT_TRUE(has(before, "RDMA write, payload"));
  EXPECT_TRUE(has(before, "96 % of 196 Gb/s"));
  EXPECT_FALSE(has(before, "<canvas"));
}

TEST_F(MeasurementsInBrowser, WalksACurveByKeyboard) {
  std::string page = pageOf({fixture("sweep_before.json")});
  page.insert(page.rfind("</body>"),
              "<script>const area = document.querySelector('.chart-area'); area.focus();"
              "for (const key of ['Home', 'ArrowRight', 'ArrowRight', 'ArrowLeft'])"
              "  area.dispatchEvent(new KeyboardEvent('keydown', {key}));</script>");
  const std::string busbw = between(domOf(page), "id=\"busbw\"", "</section>");
  EXPECT_TRUE(has(busbw, "aria-valuenow=\"1\" aria-valuetext=\"32 KiB: float32 "));
  EXPECT_TRUE(has(between(busbw, "class=\"readout\"", "</p>"), "32 KiB: "));
}

TEST_F(MeasurementsInBrowser, DrawsOnlyWhatCarriedTheBytes) {
  const std::string dom = domOf(pageOf({fixture("verify_degraded.json")}));
  const std::string sockets = between(dom, "aria-labelledby=\"path-0-0-wide\"", "</svg>");
  EXPECT_TRUE(has(sockets, "kernel TCP carries the bytes"));
  EXPECT_TRUE(has(sockets, "rocep1s0f0 carries nothing"));
  const std::string oneRail = between(dom, "aria-labelledby=\"path-0-1-wide\"", "</svg>");
  EXPECT_TRUE(has(oneRail, "rocep1s0f0 carries the bytes"));
  EXPECT_TRUE(has(oneRail, "roceP2p1s0f0 carries nothing"));
}

TEST_F(MeasurementsInBrowser, ComparesTwoSweeps) {
  const std::string dom =
      domOf(pageOf({fixture("sweep_before.json"), fixture("sweep_after.json")}, comparison()));
  const std::string compared = between(dom, "id=\"comparison\"", "</section>");
  EXPECT_TRUE(has(compared, "all_reduce float32 8 KiB"));
  EXPECT_TRUE(has(compared, "−9.5 %"));
  EXPECT_TRUE(has(compared, "as before"));
  EXPECT_TRUE(has(between(dom, "id=\"busbw\"", "</section>"), "give --ceiling RATE"));
  EXPECT_FALSE(has(dom, "<svg class=\"topology path"));
}

TEST_F(MeasurementsInBrowser, ShowsWhatASearchFoundAndWhatItGaveUp) {
  json tune = fixture("tune.json");
  tune["overlap"] = {{{"operation", "allreduce"},
                      {"bytes", 65536},
                      {"call_seconds", 0.001},
                      {"compute_seconds", 0.002},
                      {"pair_seconds", 0.0025},
                      {"default_hidden", 0.25},
                      {"tuned_hidden", -0.5}}};
  tune["condemned"].push_back(
      {{"setting", "NCCL_NTHREADS=64"}, {"outcome", "corrupt"}, {"detail", "2 wrong elements"}});
  const std::string dom = domOf(pageOf({tune}));
  EXPECT_TRUE(has(between(dom, "<h1>", "</h1>"), "Faster than the default, proven"));
  const std::string tuning = between(dom, "id=\"tuning\"", "</section>");
  EXPECT_TRUE(has(tuning, "<canvas"));
  EXPECT_TRUE(has(tuning, "allreduce: faster than the default"));
  EXPECT_TRUE(has(tuning, "algorithm=tree protocol=ll"));
  const std::string beside = between(tuning, "<h3>Beside compute</h3>", "</table>");
  EXPECT_TRUE(has(beside, "25 %"));
  EXPECT_TRUE(has(beside, "-50 %") || has(beside, "−50 %"));
  const std::string knobs = between(dom, "id=\"knobs\"", "</section>");
  EXPECT_TRUE(has(knobs, "NCCL_SOCKET_NTHREADS="));
  EXPECT_TRUE(has(knobs, "2 wrong elements"));
  EXPECT_TRUE(
      has(between(dom, "id=\"profile\"", "</section>"), "allreduce 2 2 512 2047 tree ll 0"));
  EXPECT_TRUE(has(between(dom, "id=\"environment\"", "</section>"), "2 on 2 nodes"));
}

TEST_F(MeasurementsInBrowser, ShowsARunItsStepsAndWhatItStoodOn) {
  const std::string dom = domOf(pageOf({fixture("train.json")}));
  EXPECT_TRUE(has(between(dom, "<h1>", "</h1>"), "The run finished"));
  EXPECT_TRUE(has(between(dom, "class=\"sentence\"", "</p>"), "started again once"));
  const std::string figures = between(dom, "<dl class=\"figures\"", "</dl>");
  EXPECT_TRUE(has(figures, "1.83125")) << "the last loss";
  EXPECT_TRUE(has(figures, "k tokens/s"));
  const std::string training = between(dom, "id=\"training\"", "</section>");
  EXPECT_TRUE(has(training, "<canvas"));
  EXPECT_TRUE(has(training, "Loss, by step"));
  EXPECT_TRUE(has(training, "Tokens per second, of all ranks, by step"));
  EXPECT_TRUE(has(training, "step 40: loss 1.83125, checkpoint")) << "read out for the last step";
  EXPECT_TRUE(has(training, "checkpoint, started again") ||
              has(training, "started again, checkpoint"))
      << "step 20 in the table";
  const std::string time = between(dom, "id=\"step-time\"", "</section>");
  EXPECT_TRUE(has(time, "<canvas"));
  EXPECT_TRUE(has(time, "waiting for the network"));
  EXPECT_TRUE(has(time, "communication behind computing"));
  const std::string attempts = between(dom, "id=\"attempts\"", "</section>");
  EXPECT_TRUE(has(attempts, "rank 1 on spark-b was killed by signal 9"));
  EXPECT_TRUE(has(attempts, "step 23 done"));
  const std::string inputs = between(dom, "id=\"inputs\"", "</section>");
  EXPECT_TRUE(has(inputs, std::string(64, 'c'))) << "the data's digest";
  EXPECT_TRUE(has(inputs, "NCCL_IB_HCA=rocep1s0f0,roceP2p1s0f0"));
  EXPECT_TRUE(has(inputs, "NVIDIA GB10"));
  const std::string facts = between(dom, "id=\"environment\"", "</section>");
  EXPECT_TRUE(has(facts, "railhead-train --data tokens.bin --layers 12"));
  EXPECT_TRUE(has(facts, "4a23039c1f0e5d7b9a86c2d3e4f5061728394a5b, with changes"));
  EXPECT_TRUE(has(facts, "host-staged-hardware, 94 % of the ceiling"));
  EXPECT_FALSE(has(dom, "id=\"runs\""));
}

TEST_F(MeasurementsInBrowser, LaysTwoRunsOverEachOther) {
  json more = fixture("train.json");
  more["manifest"]["id"] = "pair-0002";
  more["manifest"]["place"]["ranks"] = 4;
  more["manifest"]["metrics"]["tokens"] = more["manifest"]["metrics"]["tokens"].get<int>() * 2;
  for (int i = 24; i < 40; ++i) more["steps"][i]["loss"] = 2.5 + i * 0.01;
  const std::string dom = domOf(pageOf({fixture("train.json"), more}));
  const std::string runs = between(dom, "id=\"runs\"", "</section>");
  EXPECT_TRUE(has(runs, "pair-0001 and pair-0002"));
  EXPECT_TRUE(has(runs, "at step 25: "));
  EXPECT_TRUE(has(runs, " and 2.74"));
  EXPECT_TRUE(has(runs, "step 24"));
  EXPECT_TRUE(has(runs, "100 %"));
  const std::string training = between(dom, "id=\"training\"", "</section>");
  EXPECT_TRUE(has(training, "step 40: pair-0001 1.83125, pair-0002 2.89"));
  EXPECT_TRUE(has(training, "losses part"));
  EXPECT_TRUE(has(training, "pair-0002 checkpoint"));
  EXPECT_TRUE(
      has(between(dom, "id=\"step-time\"", "</section>"), "pair-0002: share of a step's time"));
  EXPECT_TRUE(has(between(dom, "id=\"attempts\"", "</section>"), "<h3>pair-0002</h3>"));
}

TEST_F(MeasurementsInBrowser, StandsRunsThatToldAlmostNothingOrVeryMuch) {
  json silent = fixture("train.json");
  silent["manifest"]["id"] = "silent";
  silent["manifest"]["verdict"] = nullptr;
  silent["manifest"]["attempts"] = silent["manifest"]["checkpoints"] = json::array();
  silent["manifest"]["data"] = silent["manifest"]["place"]["nodes"] = json::array();
  silent["manifest"]["metrics"] = {{"steps", 0},  {"first_loss", nullptr}, {"last_loss", nullptr},
                                   {"tokens", 0}, {"seconds", 0},          {"lost_steps", 0}};
  silent["model"] = silent["manifest"]["facts"] = silent["manifest"]["environment"] =
      json::object();
  silent["split"] = {{"steps", 0},         {"seconds", 0},      {"compute", nullptr},
                     {"exposed", nullptr}, {"hidden", nullptr}, {"data", nullptr}};
  silent["steps"] = json::array();
  std::string dom = domOf(pageOf({silent}));
  EXPECT_FALSE(has(dom, "id=\"training\""));
  EXPECT_FALSE(has(dom, "id=\"step-time\""));

  json wild = fixture("train.json");
  const json step = wild["steps"][0];
  wild["steps"] = json::array();
  for (int i = 0; i < 4096; ++i) {
    wild["steps"].push_back(step);
    wild["steps"].back()["step"] = i * 4.0e15 + 1;
    wild["steps"].back()["loss"] = i % 3 == 0 ? json(nullptr) : json(i % 2 == 0 ? 1e300 : -1e30);
    wild["steps"].back()["seconds"] = i % 5 * 1e-12;
  }
  wild["steps_told"] = 100'000;
  dom = domOf(pageOf({silent, wild}));
  EXPECT_TRUE(has(dom, "Drawn are 4096 of the 100000 steps"));
  EXPECT_TRUE(has(dom, "As a table, "));
}

TEST_F(MeasurementsInBrowser, StandsManyRanksAndFilesThatHoldAlmostNothing) {
  json many = fixture("verify_spark.json");
  const json rank = many["ranks"][0];
  const json direction = many["directions"][0];
  many["ranks"].clear();
  many["directions"].clear();
  for (int i = 0; i < 500; ++i) {
    many["ranks"].push_back(rank);
    many["ranks"].back()["rank"] = i;
    many["directions"].push_back(direction);
    many["directions"].back()["from"] = i;
    many["directions"].back()["to"] = (i + 1) % 500;
  }
  many["directions"].push_back(direction);
  many["directions"].back()["from"] = 9000;
  json sweep = fixture("sweep_before.json");
  sweep["lines"] = json::array();
  json verbs = fixture("verbs.json");
  verbs["all_rails"] = {{"gbps", nullptr}, {"share", nullptr}, {"ceiling", nullptr}};
  verbs["rails"] = json::array();
  const std::string dom = domOf(pageOf({many, sweep, verbs}));
  EXPECT_TRUE(has(dom, "The first 64 of 500 ranks"));
  EXPECT_TRUE(has(dom, "436 more are in the file"));
  EXPECT_FALSE(has(dom, "id=\"busbw\""));
}

TEST_F(MeasurementsInBrowser, RunsAndLoadsNothingThatANameAsksFor) {
  const std::string attack =
      "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'"
      "</script>";
  json verify = fixture("verify_degraded.json");
  verify["ranks"][0]["node"] = attack;
  verify["ranks"][0]["rails"][0] = attack;
  verify["directions"][0]["evidence"][0]["value"] = attack;
  json sweep = fixture("sweep_before.json");
  for (auto& line : sweep["lines"]) line["operation"] = attack;
  json doctor = fixture("doctor.json");
  doctor["nodes"][1]["checks"][1]["findings"][0]["remedy"] = attack;
  json run = fixture("train.json");
  auto& manifest = run["manifest"];
  manifest["id"] = manifest["replay_of"] = manifest["reason"] = manifest["profile"] = attack;
  manifest["command"] = {attack};
  manifest["code"]["revision"] = manifest["data"][0]["path"] = attack;
  manifest["environment"][attack] = manifest["facts"][attack] = run["model"][attack] = attack;
  manifest["attempts"][0]["reason"] = manifest["attempts"][0]["node"] = attack;
  manifest["attempts"][0]["last_lines"] = {attack};
  manifest["place"]["nodes"][0]["cpu"] = attack;
  const std::string dom = domOf(pageOf({verify, sweep, doctor, run, run}));
  EXPECT_FALSE(has(dom, "<img"));
  EXPECT_TRUE(has(dom, "<title>Mixed paths · Railhead report</title>"));
}

constexpr std::uint32_t kLightPage = 0xf5f6f8, kDarkPage = 0x0e1116;
constexpr std::uint32_t kLightRail0 = 0x2563eb, kDarkRail0 = 0x6ea0ff;
constexpr std::uint32_t kLightGood = 0x11734b, kLightBad = 0xb3261e;

TEST_F(MeasurementsInBrowser, LooksAsDesignedOnADesktopAndInTheDark) {
  const std::string page = pageOf({fixture("verify_spark.json"), fixture("sweep_before.json")});
  const auto light = screenshotOf(page, kDesktopWidth, 1600);
  EXPECT_GT(light.colours.size(), 100U) << "blank, or without text";
  EXPECT_GT(light.shareOf(kLightPage), 0.1);
  EXPECT_GT(light.shareOf(kLightGood), 0.0005);
  EXPECT_GT(light.shareOf(kLightRail0), 0.0003) << "path and curves in the colour of rail 0";
  const auto dark = screenshotOf(page, kDesktopWidth, 1600, true);
  EXPECT_GT(dark.shareOf(kDarkPage), 0.1);
  EXPECT_EQ(dark.shareOf(kLightPage), 0);
  EXPECT_GT(dark.shareOf(kDarkRail0), 0.0003);
  EXPECT_EQ(dark.shareOf(kLightRail0), 0) << "the canvas follows the page";
}

TEST_F(MeasurementsInBrowser, DrawsRunsInTheirColours) {
  json other = fixture("train.json");
  other["manifest"]["id"] = "pair-0002";
  for (auto& step : other["steps"]) step["loss"] = step["loss"].get<double>() + 0.5;
  const auto picture = screenshotOf(pageOf({fixture("train.json"), other}), kDesktopWidth, 2400);
  constexpr std::uint32_t kLightRail1 = 0xd9680f;
  EXPECT_GT(picture.shareOf(kLightRail0), 0.0003) << "the first run";
  EXPECT_GT(picture.shareOf(kLightRail1), 0.0002) << "the second";
}

TEST_F(MeasurementsInBrowser, LooksAsDesignedOnAPhone) {
  const auto picture = screenshotOf(pageOf({fixture("verify_degraded.json")}), kPhoneWidth, 1600);
  EXPECT_GT(picture.colours.size(), 100U);
  EXPECT_GT(picture.shareOf(kLightBad), 0.001);
  EXPECT_GT(picture.shareOf(kLightRail0), 0.0005);
}

}  // namespace
}  // namespace railhead::report

#include "src/report/measurements/statement.h"

#include "tests/support/measurement_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Statement> statements(const std::vector<json>& documents,
                                  const std::string& compared = {}) {
  Measurements measurements;
  for (const auto& document : documents) {
    auto read = readMeasurement("a.json", document.dump());
    EXPECT_TRUE(read.has_value()) << read.error().describe();
    if (read.has_value()) measurements.files.push_back(*read);
  }
  measurements.comparison = compared;
  return statementsOf(measurements);
}

TEST(Statement, SaysTheVerdictOfARun) {
  json verify = measurementFixture("verify_spark.json");
  EXPECT_EQ(statements({verify})[0].tone, PageTone::kGood);
  EXPECT_EQ(statements({verify})[0].headline, "RDMA through host memory, the best path here");
  for (const auto& [verdict, tone, headline] :
       std::vector<std::tuple<std::string, PageTone, std::string>>{
           {"gdr", PageTone::kGood, "GPUDirect RDMA"},
           {"host-staged-misconfigured", PageTone::kBad, "RDMA, but staged in host memory"},
           {"sockets", PageTone::kBad, "Sockets, not RDMA"},
           {"mixed", PageTone::kBad, "Mixed paths"},
           {"unproven", PageTone::kOpen, "Unproven"},
           {"local", PageTone::kOpen, "No network path"},
           {"by pigeon", PageTone::kOpen, "Verdict: by pigeon"}}) {
    verify["verdict"] = verdict;
    EXPECT_EQ(statements({verify})[0].tone, tone) << verdict;
    EXPECT_EQ(statements({verify})[0].headline, headline);
  }
}

TEST(Statement, SaysWhatASearchProved) {
  json tune = measurementFixture("tune.json");
  const auto said = [&] { return statements({tune})[0]; };
  EXPECT_EQ(said().headline, "Faster than the default, proven");
  EXPECT_THAT(said().sentence, HasSubstr("by latency +26.9 % (+24.7 to +29.1); 5 of "));
  EXPECT_THAT(said().sentence, HasSubstr("65 trials in 163 s"));
  EXPECT_EQ(said().tone, PageTone::kGood);
  tune["better"] = false;
  EXPECT_EQ(said().headline, "The default stays");
  tune["validated"] = false;
  EXPECT_EQ(said().headline, "The default stays");
  tune["end"] = "interrupted";
  EXPECT_EQ(said().tone, PageTone::kOpen);
  EXPECT_THAT(said().actions, ElementsAre("go on with railhead tune --resume FILE"));
  tune["sizes"][0]["gain"].erase("better");
  EXPECT_FALSE(readMeasurement("a.json", tune.dump()).has_value());
}

TEST(Statement, WeighsAnExpectationThatDoesNotHoldAndWrongBytes) {
  json verify = measurementFixture("verify_degraded.json");
  EXPECT_THAT(statements({verify})[0].sentence,
              HasSubstr("not as expected: rank 1 (spark-b) -> rank 0 (spark-a): sockets"));
  verify["verdict"] = "gdr";
  EXPECT_EQ(statements({verify})[0].tone, PageTone::kBad);
  verify["ranks"][1]["elements_wrong"] = 3;
  EXPECT_EQ(statements({verify})[0].headline, "Wrong bytes arrived");

  json sweep = measurementFixture("sweep_before.json");
  sweep["verified"] = false;
  sweep["failure"] = "rank 1, element 7";
  EXPECT_EQ(statements({sweep})[0].tone, PageTone::kBad);
  EXPECT_EQ(statements({sweep})[0].sentence, "rank 1, element 7; no figure of this run stands");
}

TEST(Statement, CallsAGoodPathOverOneRailOnlyBad) {
  json verify = measurementFixture("verify_degraded.json");
  verify["verdict"] = "host-staged-hardware";
  verify["expected"] = true;
  EXPECT_EQ(statements({verify})[0].headline, "RDMA over one rail only");
  EXPECT_EQ(statements({verify})[0].tone, PageTone::kBad);
  verify["directions"][0]["findings"] = {{{"kind", "inside-nic"}, {"text", "inside the NIC"}}};
  EXPECT_EQ(statements({verify})[0].headline, "Nothing was shown of the cable");
  EXPECT_EQ(statements({verify})[0].tone, PageTone::kOpen);
}

TEST(Statement, PutsTheWorstFirstAndThenWhatSaysMore) {
  std::vector<std::string> about;
  for (const auto& one :
       statements({measurementFixture("verbs.json"), measurementFixture("sweep_before.json"),
                   measurementFixture("doctor.json"), measurementFixture("verify_spark.json")})) {
    about.push_back(one.about);
  }
  EXPECT_THAT(about, ElementsAre("doctor", "verify", "collectives", "verbs"));
}

TEST(Statement, SaysWhatALogMeantAndThatItProvesNothing) {
  json log = measurementFixture("verify_log.json");
  const auto said = [&] { return statements({log})[0]; };
  EXPECT_EQ(said().headline, "NCCL's log says sockets, not RDMA");
  EXPECT_EQ(said().tone, PageTone::kBad);
  EXPECT_THAT(said().sentence, HasSubstr("2 directions sockets; lines are what NCCL meant to do"));
  log["summary"][0]["lines"] = "gdr";
  EXPECT_EQ(said().tone, PageTone::kOpen);
  log["directions"][0]["causes"] = {"node-a: NCCL_NET_GDR_LEVEL=LOC"};
  EXPECT_EQ(said().tone, PageTone::kBad);
  EXPECT_THAT(said().actions[0], HasSubstr("NCCL_NET_GDR_LEVEL=LOC"));
  log["summary"] = json::array();
  EXPECT_EQ(said().headline, "NCCL's log tells no path");
}

TEST(Statement, TellsCausesOfDirectionsThatAPageLeavesOut) {
  json log = measurementFixture("verify_log.json");
  log["summary"][0]["lines"] = "gdr";
  const json direction = log["directions"][0];
  for (int i = 0; i < 100; ++i) {
    log["directions"].push_back(direction);
    log["directions"].back()["rails"] = {"mlx5_" + std::to_string(i)};
  }
  log["directions"].back()["causes"] = {"node-z: NCCL_NET_GDR_LEVEL=LOC"};
  const auto said = statements({log})[0];
  EXPECT_EQ(said.tone, PageTone::kBad);
  EXPECT_THAT(said.actions[0], HasSubstr("node-z: NCCL_NET_GDR_LEVEL=LOC"));
}

TEST(Statement, BoundsWhatALogCounts) {
  json log = measurementFixture("verify_log.json");
  const json way = log["summary"][0];
  log["summary"][0]["directions"] = 2e19;
  for (int i = 0; i < 30; ++i) {
    log["summary"].push_back(way);
    log["summary"].back()["directions"] = 1.9e19;
  }
  EXPECT_THAT(statements({log})[0].sentence, HasSubstr("1000000000000000000 directions sockets"));
}

TEST(Statement, CountsWhatTheDoctorFound) {
  json doctor = measurementFixture("doctor.json");
  EXPECT_EQ(statements({doctor})[0].sentence, "1 broken, 1 degraded; 6 checks ran, 2 could not");
  doctor["nodes"].erase(1);
  EXPECT_EQ(statements({doctor})[0].headline, "Nothing in the way");
  EXPECT_EQ(statements({doctor})[0].sentence, "3 checks ran, 1 could not; 1 notice");
  doctor["nodes"] = json::array();
  EXPECT_EQ(statements({doctor})[0].tone, PageTone::kOpen);
}

TEST(Statement, CountsRailsAndShares) {
  EXPECT_EQ(statements({measurementFixture("verbs.json")})[0].sentence,
            "every byte arrived over 2 rails, 188 Gb/s, 96 % of the ceiling");
  EXPECT_THAT(statements({measurementFixture("sweep_before.json")})[0].sentence,
              HasSubstr("over 2 ranks"));
}

TEST(Statement, OfAComparisonIsBadWhenSomethingIsSlower) {
  const json lines = {{{"line", "a"}}, {{"line", "b"}}};
  const auto compared = [&](int slower, int faster) {
    return statements({},
                      json({{"lines", lines}, {"slower", slower}, {"faster", faster}}).dump())[0];
  };
  EXPECT_EQ(compared(1, 1).headline, "Slower than before");
  EXPECT_EQ(compared(1, 1).tone, PageTone::kBad);
  EXPECT_EQ(compared(0, 1).headline, "Faster than before");
  EXPECT_EQ(compared(0, 0).headline, "No real difference");
}

TEST(Statement, SaysEachActionOnce) {
  json verify = measurementFixture("verify_degraded.json");
  verify["directions"][1]["remedies"] = verify["directions"][0]["remedies"];
  EXPECT_THAT(actionsOf(statements({verify})), ElementsAre("name both twins in NCCL_IB_HCA"));
  EXPECT_THAT(actionsOf(statements({measurementFixture("doctor.json")}))[0],
              HasSubstr("spark-b, the process: give the pod IPC_LOCK"));
}

}  // namespace
}  // namespace railhead::report

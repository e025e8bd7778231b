#include "src/report/measurements/train_runs.h"

#include "tests/support/measurement_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Measurements runsOf(const std::vector<json>& documents) {
  Measurements out;
  for (const auto& document : documents) {
    auto read = readMeasurement("runs/a", document.dump());
    EXPECT_TRUE(read.has_value()) << read.error().describe();
    if (read.has_value()) out.files.push_back(*read);
  }
  return out;
}

Statement said(const json& document) { return statementsOf(runsOf({document}))[0]; }

json other() {
  json out = measurementFixture("train.json");
  out["manifest"]["id"] = "pair-0002";
  return out;
}

std::string answerTo(const json& document) {
  const auto read = readMeasurement("a.json", document.dump());
  return read.has_value() ? "taken" : read.error().message;
}

// The fixture's run against that one.
RunsCompared against(const json& second) {
  const auto compared = comparedRuns(runsOf({measurementFixture("train.json"), second}));
  EXPECT_TRUE(compared.has_value());
  return compared.value_or(RunsCompared{});
}

TEST(TrainStatement, SaysWhatCameOfARun) {
  json run = measurementFixture("train.json");
  EXPECT_EQ(said(run).tone, PageTone::kGood);
  EXPECT_EQ(said(run).headline, "The run finished");
  EXPECT_EQ(said(run).about, "train");
  EXPECT_THAT(said(run).sentence, HasSubstr("40 steps of pair-0001, loss 5.739 to 1.831, "));
  EXPECT_THAT(said(run).sentence, HasSubstr(" k tokens/s over 2 ranks, started again once (3 "
                                            "steps done twice)"));
  EXPECT_THAT(said(run).actions, IsEmpty());
  run["manifest"]["replay_of"] = "pair-0000";
  EXPECT_THAT(said(run).sentence, HasSubstr("; a replay of pair-0000"));
  run["manifest"]["attempts"].erase(0);
  EXPECT_THAT(said(run).sentence, HasSubstr("never started again"));
  run["attempts_left_out"] = 7;
  EXPECT_THAT(said(run).sentence, HasSubstr("started again 7 times"));
}

TEST(TrainStatement, OfARunThatDidNotFinishSaysWhyAndWhatToDo) {
  json run = measurementFixture("train.json");
  run["manifest"]["reason"] = "rank 1 on spark-b exited with 1";
  run["manifest"]["attempts"][1]["rank"] = 1;
  for (const auto& [state, tone, headline] :
       std::vector<std::tuple<std::string, PageTone, std::string>>{
           {"failed", PageTone::kBad, "The run failed"},
           {"stopped", PageTone::kOpen, "The run was stopped"},
           {"interrupted", PageTone::kOpen, "The run was interrupted"},
           {"killed", PageTone::kBad, "The run was left without its watcher"},
           {"running", PageTone::kOpen, "The run goes on"},
           {"asleep", PageTone::kOpen, "State of the run: asleep"}}) {
    run["state"] = state;
    EXPECT_EQ(said(run).tone, tone) << state;
    EXPECT_EQ(said(run).headline, headline);
    EXPECT_THAT(said(run).sentence, HasSubstr("; rank 1 on spark-b exited with 1"));
  }
  EXPECT_THAT(said(run).actions, ElementsAre("go on with railhead train resume pair-0001"));
  run["state"] = "failed";
  EXPECT_THAT(said(run).actions,
              ElementsAre("read what the rank printed: railhead train logs pair-0001 --rank 1",
                          "go on with railhead train resume pair-0001"));
}

TEST(TrainStatement, NeedsNeitherStepsNorStarts) {
  json run = measurementFixture("train.json");
  run["steps"] = json::array();
  run["manifest"]["attempts"] = json::array();
  run["manifest"]["metrics"] = {{"steps", 0},  {"first_loss", nullptr}, {"last_loss", nullptr},
                                {"tokens", 0}, {"seconds", 0},          {"lost_steps", 0}};
  EXPECT_THAT(said(run).sentence,
              HasSubstr("0 steps of pair-0001 over 2 ranks, never started again"));
}

TEST(TrainMeasurement, IsHeldAgainstItsFields) {
  json run = measurementFixture("train.json");
  run["steps"][3]["loss"] = -1e300;
  run["steps"][4] = {
      {"step", 5},
      {"loss", nullptr},
      {"tokens", nullptr},
      {"seconds", nullptr},
      {"split",
       {{"compute", nullptr}, {"exposed", nullptr}, {"hidden", nullptr}, {"data", nullptr}}}};
  run["manifest"]["verdict"] = nullptr;
  EXPECT_EQ(answerTo(run), "taken");
  run["steps"][4]["split"] = nullptr;
  EXPECT_EQ(answerTo(run), "a.json: steps[4].split: 'null' is not an object");
  run = measurementFixture("train.json");
  run["steps"][3]["loss"] = "low";
  EXPECT_EQ(answerTo(run), "a.json: steps[3].loss: '\"low\"' is not a number");
  run = measurementFixture("train.json");
  run["manifest"]["environment"]["NCCL_DEBUG"] = 7;
  EXPECT_THAT(answerTo(run), HasSubstr("is not an object of strings"));
  run["manifest"]["environment"] = {"NCCL_DEBUG"};
  EXPECT_THAT(answerTo(run), HasSubstr("is not an object of strings"));
  run = measurementFixture("train.json");
  for (int i = 0; i < 5000; ++i) run["steps"].push_back(run["steps"][0]);
  EXPECT_THAT(answerTo(run), HasSubstr("steps has 5040 entries; at most 4096 are allowed"));
}

TEST(ComparedRuns, AreTwo) {
  const json run = measurementFixture("train.json");
  EXPECT_FALSE(comparedRuns(runsOf({run})).has_value());
  EXPECT_FALSE(comparedRuns(runsOf({run, run, run})).has_value());
  EXPECT_FALSE(comparedRuns(runsOf({run, measurementFixture("verbs.json")})).has_value());
  const RunsCompared same = against(other());
  EXPECT_EQ(same.first, "pair-0001");
  EXPECT_EQ(same.second, "pair-0002");
  EXPECT_EQ(same.steps, 40U);
  EXPECT_FALSE(same.difference.has_value());
  EXPECT_FALSE(same.scaling.has_value());
  EXPECT_EQ(runsStatement(same).headline, "The losses of both runs are the same");
  EXPECT_EQ(runsStatement(same).sentence, "to the last bit, at 40 steps that both told");
  EXPECT_EQ(runsStatement(same).tone, PageTone::kGood);
}

TEST(ComparedRuns, NameTheFirstStepAtWhichTheirLossesPart) {
  json second = other();
  second["steps"][24]["loss"] = 2.5;
  second["steps"][30]["loss"] = nullptr;
  RunsCompared parted = against(second);
  const LossDifference difference = parted.difference.value_or(LossDifference{});
  EXPECT_EQ(difference.step, 25);
  EXPECT_EQ(difference.equalUntil, 24.0);
  EXPECT_EQ(difference.second, 2.5);
  EXPECT_THAT(runsStatement(parted).sentence, HasSubstr("at step 25: "));
  EXPECT_THAT(runsStatement(parted).sentence, HasSubstr(" and 2.5; the same up to step 24"));
  EXPECT_EQ(runsStatement(parted).tone, PageTone::kOpen) << "the same work, another outcome";
  EXPECT_THAT(runsStatement(parted).actions[0],
              HasSubstr("railhead train compare pair-0001 pair-0002"));

  second["manifest"]["replay_of"] = "pair-0001";
  parted = against(second);
  EXPECT_EQ(runsStatement(parted).tone, PageTone::kBad);
  EXPECT_EQ(runsStatement(parted).headline, "The replay came out otherwise");
  second["manifest"]["replay_of"] = "";
  second["manifest"]["seed"] = 1338;
  parted = against(second);
  EXPECT_EQ(runsStatement(parted).tone, PageTone::kGood) << "another seed is to differ";
  EXPECT_THAT(runsStatement(parted).actions, IsEmpty());

  second["steps"] = json::array();
  parted = against(second);
  EXPECT_EQ(runsStatement(parted).headline, "No losses to compare");
  EXPECT_EQ(runsStatement(parted).tone, PageTone::kOpen);
}

TEST(ComparedRuns, OfOtherNumbersOfRanksTellTheScaling) {
  json more = other();
  more["manifest"]["place"]["ranks"] = 4;
  auto& metrics = more["manifest"]["metrics"];
  metrics["tokens"] = metrics["tokens"].get<int>() * 2;
  metrics["seconds"] = metrics["seconds"].get<double>() / 0.9;
  for (const auto& runs : {runsOf({measurementFixture("train.json"), more}),
                           runsOf({more, measurementFixture("train.json")})}) {
    const RunsCompared compared = comparedRuns(runs).value_or(RunsCompared{});
    const Scaling scaling = compared.scaling.value_or(Scaling{});
    EXPECT_EQ(scaling.fewerRanks, 2);
    EXPECT_EQ(scaling.moreRanks, 4);
    EXPECT_NEAR(scaling.efficiency, 0.9, 1e-9);
    EXPECT_EQ(runsStatement(compared).headline, "90 % scaling efficiency");
    EXPECT_THAT(
        runsStatement(compared).sentence,
        HasSubstr("4 ranks do 1.8 times the tokens/s of 2; the same losses to the last bit"));
  }
  metrics["tokens"] = 0;
  const RunsCompared silent = against(more);
  EXPECT_FALSE(silent.scaling.has_value());
  EXPECT_THAT(runsStatement(silent).sentence, Not(HasSubstr("tokens/s")));
}

}  // namespace
}  // namespace railhead::report

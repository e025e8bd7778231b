#include "apps/railhead/train_document.h"

#include "src/report/measurements/measurement.h"
#include "tests/support/documented_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using nlohmann::json;
using testing::SizeIs;

std::vector<train::StepLine> someSteps(std::uint64_t count) {
  std::vector<train::StepLine> out;
  for (std::uint64_t i = 1; i <= count; ++i) {
    train::StepLine step;
    step.step = i;
    step.loss = 1.0 / static_cast<double>(i);
    step.tokens = 10;
    step.seconds = 0.5;
    step.split = {0.3, 0.1, 0.2, std::nullopt};
    out.push_back(step);
  }
  return out;
}

train::StepSeries seriesOf(const std::vector<train::StepLine>& steps) {
  train::StepSeries out;
  for (const auto& step : steps) {
    train::MetricsLine line;
    line.step = step;
    out.add(line);
  }
  return out;
}

train::Manifest someManifest() {
  train::Manifest out;
  out.id = "pair-0001";
  out.state = "finished";
  out.code.scripts = {{"train.py", 5, "b"}};
  out.data = {{"tokens", 7, "c"}};
  out.environment = {{"NAME", ""}};
  out.facts = {{"NAME", ""}};
  train::NodeFacts node;
  node.gpus = node.nics = node.topology = {"one"};
  out.place = {"local:2", 2, 2, {"a", "a"}, {node}};
  out.verdict = train::Verdict{"gdr", true, 0.93};
  out.attempts = {{1, std::nullopt, "t", 1.5, "failed", "why", 1, "b", {"last"}}};
  checkpoint::Checkpoint checkpoint;
  checkpoint.step = 6;
  checkpoint.files = {{"model", 3, "d"}};
  checkpoint.model = {{"NAME", "12"}};
  out.checkpoints = {checkpoint};
  return out;
}

TEST(TrainDocument, TheDocumentNamesEveryFieldAndNoOther) {
  const auto document =
      json::parse(trainDocument(someManifest(), seriesOf(someSteps(3)), "finished"));
  std::set<std::string> real;
  std::set<std::string> manifest;
  for (const auto& field : testing_support::fieldsOf(document)) {
    constexpr std::string_view kPart = "manifest.";
    if (field.starts_with(kPart)) {
      manifest.insert(field.substr(kPart.size()));
    } else {
      real.insert(field);
    }
  }
  const auto text = testing_support::readText("docs/reference/train.md");
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of train show"), real);
  // What the page says of the manifest there: its fields but those named.
  auto all = testing_support::documentedFields(text, "JSON of the manifest");
  for (const char* left : {"digest", "checkpoints[].sha256", "checkpoints[].model",
                           "checkpoints[].files", "checkpoints[].files[].name",
                           "checkpoints[].files[].bytes", "checkpoints[].files[].sha256"}) {
    EXPECT_EQ(all.erase(left), 1U) << left;
  }
  EXPECT_EQ(manifest, all);
}

TEST(TrainDocument, IsOneThatTheReportTakes) {
  for (const auto& [manifest, steps] :
       std::vector<std::pair<train::Manifest, std::vector<train::StepLine>>>{
           {someManifest(), someSteps(20)}, {train::Manifest(), {}}, {someManifest(), {}}}) {
    const auto read =
        report::readMeasurement("runs/a", trainDocument(manifest, seriesOf(steps), manifest.state));
    EXPECT_TRUE(read.has_value()) << read.error().describe();
  }
}

TEST(TrainDocument, TellsNothingThatCannotBeATime) {
  auto steps = someSteps(2);
  steps[0].seconds = -1;
  steps[0].split.compute = 1e300;
  steps[1].loss = -4.5;
  const auto document = json::parse(trainDocument(someManifest(), seriesOf(steps), "failed"));
  EXPECT_EQ(document["steps"][0]["seconds"], nullptr);
  EXPECT_EQ(document["steps"][0]["split"]["compute"], nullptr);
  EXPECT_EQ(document["steps"][0]["split"]["exposed"], 0.1);
  EXPECT_EQ(document["steps"][1]["loss"], -4.5);
  EXPECT_EQ(document["split"]["steps"], 1) << "of the first the time is not known";
  EXPECT_EQ(document["state"], "failed");
}

TEST(TrainDocument, StaysSmallWhateverTheRunDid) {
  train::Manifest manifest = someManifest();
  manifest.attempts.assign(3000, manifest.attempts[0]);
  manifest.checkpoints.assign(50'000, manifest.checkpoints[0]);
  for (std::size_t i = 0; i < manifest.checkpoints.size(); ++i) manifest.checkpoints[i].step = i;
  const std::string text = trainDocument(manifest, seriesOf(someSteps(100'000)), "finished");
  const auto document = json::parse(text);
  EXPECT_EQ(document["attempts_left_out"], 1976);
  EXPECT_EQ(document["manifest"]["attempts"].size(), 1024U);
  EXPECT_EQ(document["checkpoints_left_out"], 45'904);
  EXPECT_EQ(document["manifest"]["checkpoints"].back()["step"], 49'999) << "the newest stay";
  EXPECT_EQ(document["model"]["NAME"], "12");
  EXPECT_EQ(document["steps_told"], 100'000);
  EXPECT_EQ(document["split"]["steps"], 100'000);
  EXPECT_LE(document["steps"].size(), 4096U);
  EXPECT_TRUE(report::readMeasurement("runs/a", text).has_value());
}

TEST(SplitSums, CountTheStepsThatTold) {
  auto steps = someSteps(4);
  steps[3].split = {};
  steps[2].seconds.reset();
  const SplitSums sums = splitSums(steps);
  EXPECT_EQ(sums.steps, 2U);
  EXPECT_DOUBLE_EQ(sums.seconds, 1);
  EXPECT_DOUBLE_EQ(sums.parts.compute.value_or(0), 0.6);
  EXPECT_FALSE(sums.parts.data.has_value()) << "no step told of it";
}

TEST(Thinned, KeepsTheFirstAndTheLastAndTheSameOfTwoRuns) {
  EXPECT_THAT(thinned({}, 10), SizeIs(0));
  EXPECT_THAT(thinned(someSteps(1), 10), SizeIs(1));
  EXPECT_EQ(thinned(someSteps(10), 10), someSteps(10));
  for (const std::size_t count : {11U, 12U, 100U, 4097U, 12'345U}) {
    const auto kept = thinned(someSteps(count), 10);
    EXPECT_LE(kept.size(), 10U) << count;
    EXPECT_GE(kept.size(), 5U) << count;
    EXPECT_EQ(kept.front().step, 1U);
    EXPECT_EQ(kept.back().step, count);
  }
  std::vector<std::uint64_t> few;
  for (const auto& step : thinned(someSteps(20), 10)) few.push_back(step.step);
  auto many = thinned(someSteps(70), 10);
  many.pop_back();
  std::erase_if(many, [](const auto& step) { return step.step > 20; });
  for (const auto& step : many) EXPECT_THAT(few, testing::Contains(step.step));
}

}  // namespace
}  // namespace railhead::app

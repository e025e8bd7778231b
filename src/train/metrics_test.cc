#include "src/train/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::train {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string stepLine(std::uint64_t step, double loss) {
  return R"({"schema":"railhead.metrics/1","step":)" + std::to_string(step) + R"(,"loss":)" +
         std::to_string(loss) + R"(,"tokens":10,"seconds":0.5})" + "\n";
}

std::vector<std::uint64_t> numbers(const StepSeries& series) {
  std::vector<std::uint64_t> out;
  for (const auto& step : series.steps()) out.push_back(step.step);
  return out;
}

TEST(MetricsLine, EveryFieldIsRead) {
  const auto line = parseMetricsLine(
      R"({"schema":"railhead.metrics/1","step":7,"loss":4.25,"tokens":1024,"seconds":0.5,)"
      R"("split":{"compute":0.3,"exposed":0.1,"hidden":0.05,"data":0.02},"more":[1]})");
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->kind, MetricsLine::Kind::kStep);
  EXPECT_EQ(line->step, (StepLine{7, 4.25, 1024, 0.5, {0.3, 0.1, 0.05, 0.02}}));
  for (const char* broken : {R"({"schema":"railhead.metrics/1","step":8,"loss":NaN})",
                             R"({"schema":"railhead.metrics/1","step":8,"lo)",
                             R"({"schema":"railhead.metrics/1","step":0})"}) {
    EXPECT_TRUE(isBrokenMetrics(broken)) << broken;
  }
  for (const char* well :
       {"step 8", "{\"loss\":NaN}", R"({"schema":"railhead.metrics/1","step":8,"loss":null})",
        R"({"schema":"railhead.metrics/1","event":"of-tomorrow"})"}) {
    EXPECT_FALSE(isBrokenMetrics(well)) << well;
  }
  const auto bare = parseMetricsLine(R"({"schema":"railhead.metrics/1","step":1,"loss":null})");
  ASSERT_TRUE(bare.has_value());
  EXPECT_FALSE(bare->step.loss.has_value());
}

TEST(MetricsLine, WhatIsNotOursIsLeftAlone) {
  for (const char* text :
       {"", "step 7 loss 4.25", R"({"step":7,"loss":4.25})", R"({"schema":"other/1","step":7})",
        R"({"schema":"railhead.metrics/1"})", R"({"schema":"railhead.metrics/1","step":0})",
        R"({"schema":"railhead.metrics/1","step":-7})",
        R"({"schema":"railhead.metrics/1","step":7.5})",
        R"({"schema":"railhead.metrics/1","step":7)",
        R"({"schema":"railhead.metrics/1","event":"unheard","step":7})", "[1]", "{"}) {
    EXPECT_FALSE(parseMetricsLine(text).has_value()) << text;
  }
}

TEST(MetricsLine, EventsAreRead) {
  const auto checkpoint = parseMetricsLine(
      R"({"schema":"railhead.metrics/1","event":"checkpoint","step":6,"path":"/r/step-6"})");
  ASSERT_TRUE(checkpoint.has_value());
  EXPECT_EQ(checkpoint->kind, MetricsLine::Kind::kCheckpoint);
  EXPECT_EQ(checkpoint->path, "/r/step-6");
  const auto facts = parseMetricsLine(
      R"({"schema":"railhead.metrics/1","event":"facts","facts":{"nccl":"2.28","n":3}})");
  ASSERT_TRUE(facts.has_value());
  EXPECT_EQ(facts->facts, (std::map<std::string, std::string>{{"nccl", "2.28"}}));
  const auto resumed = parseMetricsLine(resumedLine(2, 6));
  ASSERT_TRUE(resumed.has_value());
  EXPECT_EQ(resumed->kind, MetricsLine::Kind::kResumed);
  EXPECT_EQ(resumed->attempt, 2U);
  EXPECT_EQ(resumed->step.step, 6U);
}

TEST(StepSeries, WorkSinceTheCheckpointIsCountedOnce) {
  std::string text;
  for (std::uint64_t step = 1; step <= 8; ++step) text += stepLine(step, 1);
  text += R"({"schema":"railhead.metrics/1","step":9,"lo)";  // it died within the line
  text += resumedLine(2, 6);
  text += stepLine(7, 2) + stepLine(8, 2) + stepLine(9, 2);
  const StepSeries series = seriesOf(text);
  EXPECT_THAT(numbers(series), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_EQ(series.steps()[6].loss, 2.0);
  EXPECT_EQ(series.lostSteps(), 2U);
  EXPECT_EQ(series.tokens(), 90U);
  EXPECT_DOUBLE_EQ(series.seconds(), 4.5);
}

TEST(StepSeries, AStepThatComesAgainTakesItsPlaceAndThatOfTheLaterOnes) {
  const StepSeries series =
      seriesOf(stepLine(1, 1) + stepLine(2, 1) + stepLine(3, 1) + stepLine(2, 5));
  EXPECT_THAT(numbers(series), ElementsAre(1, 2));
  EXPECT_EQ(series.steps()[1].loss, 5.0);
  EXPECT_EQ(series.lostSteps(), 2U);
}

TEST(StepSeries, FromTheBeginningNothingCounts) {
  const StepSeries series = seriesOf(stepLine(1, 1) + stepLine(2, 1) + resumedLine(2, 0));
  EXPECT_THAT(series.steps(), IsEmpty());
  EXPECT_EQ(series.lostSteps(), 2U);
}

TEST(StepSeries, KnowsTheNewestCheckpointThatWasToldAndNotGivenUp) {
  const auto line = [](const std::string& rest) {
    return R"({"schema":"railhead.metrics/1",)" + rest + "}\n";
  };
  const std::string text = line(R"("step":1,"loss":2.5)") +
                           line(R"("event":"checkpoint","step":3,"path":"/c/step-00000003")") +
                           line(R"("event":"checkpoint","step":6,"path":"/c/step-00000006")");
  const auto series = seriesOf(text);
  ASSERT_TRUE(series.newestCheckpoint().has_value());
  EXPECT_EQ(series.newestCheckpoint()->step, 6U);
  EXPECT_EQ(series.newestCheckpoint()->path, "/c/step-00000006");
  EXPECT_TRUE(series.has(*parseMetricsLine(line(R"("step":1,"loss":2.5)"))));
  EXPECT_FALSE(series.has(*parseMetricsLine(line(R"("step":1,"loss":2.25)"))));
  EXPECT_FALSE(series.has(*parseMetricsLine(line(R"("step":2,"loss":2.5)"))));
  EXPECT_TRUE(series.has(
      *parseMetricsLine(line(R"("event":"checkpoint","step":3,"path":"/c/step-00000003")"))));
  const auto left = seriesOf(text + line(R"("event":"resumed","attempt":2,"step":3)"));
  EXPECT_EQ(left.newestCheckpoint()->step, 3U);
  EXPECT_FALSE(seriesOf(line(R"("step":1,"loss":2.5)")).newestCheckpoint().has_value());
}

}  // namespace
}  // namespace railhead::train

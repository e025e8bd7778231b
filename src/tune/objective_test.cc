#include "src/tune/objective.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

const std::vector<Size> kSizes{
    {"allreduce", 8U << 20, false}, {"allreduce", 4096, false}, {"allreduce", 64U << 20, false}};

TEST(Gain, AnIntervalThatExcludesZeroIsBetter) {
  const std::vector<double> sure{0.10, 0.11, 0.09, 0.10};
  const Gain gain = gainOf(sure);
  EXPECT_TRUE(gain.isBetter());
  EXPECT_NEAR(gain.factor(), std::exp(0.1), 1e-9);
  EXPECT_LT(gain.lowFactor(), gain.factor());
  const std::vector<double> noise{0.10, -0.11, 0.09, -0.05};
  EXPECT_FALSE(gainOf(noise).isBetter());
  EXPECT_FALSE(gainOf(noise).isWorse(0.02));
  EXPECT_FALSE(gainOf(std::vector<double>{5}).isBetter());
  EXPECT_FALSE(gainOf({}).isBetter());
}

TEST(Gain, OneDisturbedPairOfManyDoesNotCount) {
  const std::vector<double> disturbed{0.10, 0.11, 0.09, 0.10, 0.12, 0.08, 0.10, -1.1};
  const Gain gain = gainOf(disturbed);
  EXPECT_TRUE(gain.isBetter());
  EXPECT_NEAR(gain.mean, 0.0967, 1e-3);
  const std::vector<double> flattered{0.00, 0.01, -0.01, 0.00, 0.02, -0.02, 0.00, 1.1};
  EXPECT_FALSE(gainOf(flattered).isBetter());
  // By hand: middle six of 1..8 with mean 4.5; winsorized squares 30 over 6 * 5; t(5) = 2.571.
  const std::vector<double> ramp{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_NEAR(gainOf(ramp).high95, 4.5 + 2.571 * std::sqrt(30.0 / 30.0), 1e-9);
}

TEST(Gain, WorseIsWorseBeyondTheTolerance) {
  const std::vector<double> slightly{-0.010, -0.011, -0.009, -0.010};
  EXPECT_FALSE(gainOf(slightly).isWorse(0.02));
  EXPECT_TRUE(gainOf(slightly).isWorse(0.001));
}

TEST(Gain, OneOnTopOfAnother) {
  const Gain both = Gain{4, 0.1, 0.07, 0.13}.then({8, 0.2, 0.16, 0.24});
  EXPECT_NEAR(both.mean, 0.3, 1e-12);
  EXPECT_NEAR(both.low95, 0.25, 1e-12);
  EXPECT_NEAR(both.high95, 0.35, 1e-12);
}

TEST(Objective, WeighsWhatItIsAbout) {
  const auto bandwidth = Objective::over(ObjectiveKind::kBandwidth, kSizes);
  ASSERT_TRUE(bandwidth.has_value());
  EXPECT_EQ(bandwidth->sizes()[0].bytes, 4096U);  // sorted
  EXPECT_THAT(std::vector<double>(bandwidth->weights().begin(), bandwidth->weights().end()),
              testing::ElementsAre(0, 0.5, 0.5));
  const std::vector<double> before{1, 2, 4};
  const std::vector<double> after{9, 1, 4};
  EXPECT_NEAR(bandwidth->logRatio(before, after), std::log(2) / 2, 1e-12);
  const auto latency = Objective::over(ObjectiveKind::kLatency, kSizes);
  EXPECT_NEAR(latency->logRatio(before, after), -std::log(9), 1e-12);
}

TEST(Objective, OverlappedIsASeriesOfItsOwn) {
  std::vector<Size> sizes{{"allreduce", 8, true}, {"allreduce", 16, true}};
  const auto overlapped = Objective::over(ObjectiveKind::kOverlapped, sizes);
  ASSERT_TRUE(overlapped.has_value());
  EXPECT_NEAR(overlapped->logRatio(std::vector<double>{2, 4}, std::vector<double>{1, 4}),
              std::log(2) / 2, 1e-12);
  sizes[1].overlapped = false;
  EXPECT_FALSE(Objective::over(ObjectiveKind::kOverlapped, sizes).has_value());
  EXPECT_FALSE(Objective::over(ObjectiveKind::kLatency, sizes).has_value());
  EXPECT_FALSE(Objective::histogram({{sizes[0], 1}, {sizes[1], 1}}).has_value());
}

TEST(Objective, AHistogramIsTheTimeOfAWholeStep) {
  const auto step = Objective::histogram({{kSizes[0], 10}, {kSizes[1], 1}});
  ASSERT_TRUE(step.has_value());
  const std::vector<double> before{4, 1};  // sorted: 4096 first
  const std::vector<double> after{8, 0.5};
  EXPECT_NEAR(step->logRatio(before, after), std::log(14.0 / 13.0), 1e-12);
}

TEST(Objective, RefusesWhatCannotBeWeighed) {
  EXPECT_FALSE(Objective::over(ObjectiveKind::kBandwidth, {}).has_value());
  EXPECT_FALSE(Objective::over(ObjectiveKind::kBandwidth, {kSizes[1]}).has_value());
  EXPECT_FALSE(Objective::over(ObjectiveKind::kLatency, {kSizes[1], kSizes[1]}).has_value());
  EXPECT_FALSE(Objective::histogram({{kSizes[0], -1}}).has_value());
  EXPECT_FALSE(Objective::histogram({{kSizes[0], std::nan("")}}).has_value());
  EXPECT_FALSE(Objective::histogram({{kSizes[0], 0}}).has_value());
  EXPECT_EQ(*parseObjective("overlapped"), ObjectiveKind::kOverlapped);
  EXPECT_FALSE(parseObjective("speed").has_value());
}

}  // namespace
}  // namespace railhead::tune

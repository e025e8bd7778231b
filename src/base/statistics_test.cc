#include "src/base/statistics.h"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead {
namespace {

TEST(Statistics, NothingMeasuredIsAllZero) {
  const Summary none = summarize({});
  EXPECT_EQ(none.count, 0U);
  EXPECT_EQ(none.median, 0);
  EXPECT_TRUE(none.outliers.empty());
}

TEST(Statistics, OneSampleIsItsOwnInterval) {
  const std::vector<double> one{7};
  const Summary summary = summarize(one);
  EXPECT_EQ(summary.median, 7);
  EXPECT_EQ(summary.p99, 7);
  EXPECT_EQ(summary.low95, 7);
  EXPECT_EQ(summary.high95, 7);
}

TEST(Statistics, KnownValues) {
  // Mean 5, sample deviation 2.1381, t(7) = 2.365: margin 1.7878.
  const std::vector<double> samples{2, 4, 4, 4, 5, 5, 7, 9};
  const Summary summary = summarize(samples);
  EXPECT_EQ(summary.count, 8U);
  EXPECT_DOUBLE_EQ(summary.mean, 5);
  EXPECT_DOUBLE_EQ(summary.median, 4.5);
  EXPECT_DOUBLE_EQ(summary.minimum, 2);
  EXPECT_DOUBLE_EQ(summary.maximum, 9);
  EXPECT_NEAR(summary.deviation, 2.1381, 1e-4);
  EXPECT_NEAR(summary.low95, 3.2122, 1e-3);
  EXPECT_NEAR(summary.high95, 6.7878, 1e-3);
}

TEST(Statistics, QuantilesInterpolateAndOrderDoesNotMatter) {
  std::vector<double> samples(101);
  std::iota(samples.rbegin(), samples.rend(), 0);
  const Summary summary = summarize(samples);
  EXPECT_DOUBLE_EQ(summary.median, 50);
  EXPECT_DOUBLE_EQ(summary.p90, 90);
  EXPECT_DOUBLE_EQ(summary.p99, 99);
  EXPECT_DOUBLE_EQ(summary.p999, 99.9);
  const std::vector<double> two{10, 20};
  EXPECT_DOUBLE_EQ(quantile(two, 0.25), 12.5);
  EXPECT_DOUBLE_EQ(quantile(two, 1), 20);
}

TEST(Statistics, LargeSamplesUseTheNormalLimit) {
  std::vector<double> samples;
  for (int i = 0; i < 1000; ++i) samples.push_back(i % 2);
  const Summary summary = summarize(samples);
  EXPECT_NEAR(summary.high95 - summary.mean, 1.9623 * 0.50025 / 31.6228, 1e-4);
}

TEST(Statistics, OutliersAreShownAndStillCounted) {
  std::vector<double> samples(50, 10);
  samples.push_back(11);
  samples.push_back(500);
  const Summary summary = summarize(samples);
  EXPECT_EQ(summary.outlierCount, 2U);
  EXPECT_THAT(summary.outliers, testing::ElementsAre(500, 11));
  EXPECT_EQ(summary.maximum, 500);
  EXPECT_GT(summary.mean, 19);
  EXPECT_EQ(summary.median, 10);
}

TEST(Statistics, TheListOfOutliersIsBounded) {
  std::vector<double> samples(1000, 1);
  for (int i = 0; i < 100; ++i) samples.push_back(1000 + i);
  const Summary summary = summarize(samples);
  EXPECT_EQ(summary.outlierCount, 100U);
  EXPECT_EQ(summary.outliers.size(), Summary::kMaxOutliers);
  EXPECT_EQ(summary.outliers.front(), 1099);
}

}  // namespace
}  // namespace railhead

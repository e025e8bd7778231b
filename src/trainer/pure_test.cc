// Shapes, plans, schedule, data order: what is a function of its arguments alone.
#include "src/trainer/data_order.h"
#include "src/trainer/flat_plan.h"
#include "src/trainer/schedule.h"
#include "src/trainer/shape.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::trainer {
namespace {

using testing::HasSubstr;

constexpr ModelShape kSmall{2, 2, 8, 16, 256};

TEST(Shape, Gpt2HasTheParametersOfThePaper) {
  // 124,439,808 with the vocabulary of 50257; ours has 47 rows more.
  EXPECT_EQ(parameterCount(*shapeNamed("124M")), 124439808U + 47 * 768);
  EXPECT_EQ(parameterCount(*shapeNamed("1558M")), 1557611200U + 47 * 1600);
  EXPECT_THAT(shapeNamed("7B").error().message, HasSubstr("tiny, 124M"));
}

TEST(Shape, ParametersLieBehindEachOther) {
  std::uint64_t at = 0;
  std::set<std::string> names;
  for (const auto& parameter : parametersOf(kSmall)) {
    EXPECT_EQ(parameter.begin, at) << parameter.name;
    EXPECT_EQ(parameter.decays, parameter.columns != 0) << parameter.name;
    EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name;
    at = parameter.end();
  }
  EXPECT_EQ(at, parameterCount(kSmall));
}

TEST(Shape, WhatCannotBeIsNamed) {
  ModelShape shape = kSmall;
  shape.heads = 3;
  EXPECT_THAT(checkShape(shape).error().message, HasSubstr("width is 8: expected a multiple"));
  shape = kSmall;
  shape.layers = 0;
  EXPECT_THAT(checkShape(shape).error().message, HasSubstr("layers is 0"));
}

TEST(InitialValues, AreNormalAndDependOnEverything) {
  const auto parameters = parametersOf(kSmall);
  const InitialValues values(7, parameters[0], 0);
  double sum = 0;
  double squares = 0;
  double neighbours = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = values.at(static_cast<std::uint64_t>(i));
    sum += value;
    squares += value * value;
    neighbours += value * values.at(static_cast<std::uint64_t>(i) + 1);
  }
  const double variance = parameters[0].deviation * parameters[0].deviation;
  EXPECT_NEAR(sum / kCount, 0, 4 * parameters[0].deviation / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, variance, variance * 0.03);
  EXPECT_NEAR(neighbours / kCount, 0, variance * 0.02);
  std::vector<float> some(7);
  values.fill(4, some);
  for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i], values.at(4 + i));
  values.fill(5, some);
  for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i], values.at(5 + i));
  EXPECT_EQ(values.at(5), InitialValues(7, parameters[0], 0).at(5));
  EXPECT_NE(values.at(5), InitialValues(8, parameters[0], 0).at(5));
  EXPECT_NE(values.at(5), InitialValues(7, parameters[0], 1).at(5));
  const auto norm = std::find_if(parameters.begin(), parameters.end(),
                                 [](const auto& each) { return each.name == "norm.weight"; });
  EXPECT_EQ(InitialValues(7, *norm, 3).at(2), 1);
}

// Every element once, by whom and in how many buckets whatsoever.
TEST(FlatPlan, RanksHoldEveryElementOnce) {
  for (const int ranks : {1, 2, 3, 8}) {
    for (const std::uint64_t bucket : {1U, 500U, 1'000'000U}) {
      const auto plan = FlatPlan::make(kSmall, bucket, ranks);
      std::vector<int> held(plan.elements());
      for (int rank = 0; rank < ranks; ++rank) {
        for (const auto& piece : plan.piecesOf(rank)) {
          for (auto at = piece.flat.begin; at < piece.flat.end; ++at) ++held[at];
        }
      }
      EXPECT_EQ(std::count(held.begin(), held.end(), 1),
                static_cast<std::ptrdiff_t>(plan.elements()))
          << ranks << " ranks, buckets of " << bucket;
    }
  }
}

TEST(FlatPlan, PiecesAreInTheirRanksPartAndDecayAsTheirParameters) {
  const auto plan = FlatPlan::make(kSmall, 700, 3);
  std::vector<bool> decays(plan.elements());
  for (const auto& parameter : plan.parameters()) {
    for (auto at = parameter.begin; at < parameter.end(); ++at) decays[at] = parameter.decays;
  }
  for (int rank = 0; rank < 3; ++rank) {
    for (const auto& piece : plan.piecesOf(rank)) {
      const Bucket& bucket = plan.buckets()[piece.bucket];
      const auto part = bucket.padded / 3;
      EXPECT_GE(piece.offset, bucket.offset + part * static_cast<std::uint64_t>(rank));
      EXPECT_LE(piece.offset + piece.flat.count(),
                bucket.offset + part * (static_cast<std::uint64_t>(rank) + 1));
      EXPECT_EQ(piece.offset - bucket.offset, piece.flat.begin - bucket.flat.begin);
      for (auto at = piece.flat.begin; at < piece.flat.end; ++at) {
        EXPECT_EQ(decays[at], piece.decays) << at;
      }
    }
  }
}

TEST(FlatPlan, BucketsGoFromTheEndAndHoldWholeParameters) {
  const auto plan = FlatPlan::make(kSmall, 700, 2);
  std::uint64_t end = plan.elements();
  for (std::size_t index = 0; index < plan.buckets().size(); ++index) {
    const Bucket& bucket = plan.buckets()[index];
    EXPECT_EQ(bucket.flat.end, end);
    EXPECT_EQ(bucket.padded % (2 * FlatPlan::kPartAlignment), 0U);
    EXPECT_GE(bucket.padded, bucket.flat.count());
    EXPECT_TRUE(bucket.flat.count() <= 700 || bucket.parameters == 1);
    for (std::size_t i = 0; i < bucket.parameters; ++i) {
      EXPECT_EQ(plan.bucketOf(bucket.firstParameter + i), index);
    }
    end = bucket.flat.begin;
  }
  EXPECT_EQ(end, 0U);
  EXPECT_EQ(plan.offsetOf(plan.buckets()[1].firstParameter), plan.buckets()[1].offset);
}

TEST(FlatPlan, AllPiecesContainThoseOfEachRank) {
  const auto plan = FlatPlan::make(kSmall, 700, 3);
  const auto all = plan.allPieces();
  for (int rank = 0; rank < 3; ++rank) {
    for (const auto& piece : plan.piecesOf(rank)) {
      EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Piece& whole) {
        return whole.flat.begin <= piece.flat.begin && piece.flat.end <= whole.flat.end;
      }));
    }
  }
}

TEST(Schedule, RisesThenFallsAsACosine) {
  const Schedule schedule{1.0, 0.1, 10, 110};
  EXPECT_DOUBLE_EQ(learningRate(schedule, 1), 0.1);
  EXPECT_DOUBLE_EQ(learningRate(schedule, 10), 1.0);
  EXPECT_DOUBLE_EQ(learningRate(schedule, 60), 0.55);
  EXPECT_DOUBLE_EQ(learningRate(schedule, 110), 0.1);
  EXPECT_DOUBLE_EQ(learningRate(schedule, 1000), 0.1);
  for (std::uint64_t step = 11; step <= 110; ++step) {
    EXPECT_LT(learningRate(schedule, step), learningRate(schedule, step - 1)) << step;
  }
}

TEST(Schedule, WithoutWarmupAndShorterThanIt) {
  EXPECT_NEAR(learningRate({1.0, 0.1, 0, 100}, 1), 1.0, 1e-3);
  EXPECT_DOUBLE_EQ(learningRate({1.0, 0.1, 10, 5}, 5), 0.5);
  EXPECT_DOUBLE_EQ(learningRate({1.0, 0.1, 10, 10}, 10), 1.0);
}

TEST(DataOrder, EveryEpochHasEveryWindowOnce) {
  for (const std::uint64_t windows : {1U, 2U, 3U, 64U, 65U, 1000U}) {
    const DataOrder order(3, windows, 4);
    std::vector<std::uint64_t> first;
    std::vector<std::uint64_t> second;
    for (std::uint64_t i = 0; i < windows; ++i) {
      first.push_back(order.windowOf(i));
      second.push_back(order.windowOf(windows + i));
    }
    if (windows >= 64) {
      EXPECT_NE(first, second);
    }
    std::vector<std::uint64_t> all(windows);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_THAT(first, testing::UnorderedElementsAreArray(all)) << windows;
    EXPECT_THAT(second, testing::UnorderedElementsAreArray(all)) << windows;
  }
}

TEST(DataOrder, IsAFunctionOfSeedAndStep) {
  const DataOrder order(3, 1000, 8);
  EXPECT_EQ(order.windowsOf(5), DataOrder(3, 1000, 8).windowsOf(5));
  EXPECT_NE(order.windowsOf(5), order.windowsOf(6));
  EXPECT_NE(order.windowsOf(5), DataOrder(4, 1000, 8).windowsOf(5));
  EXPECT_EQ(order.windowsOf(2).front(), order.windowOf(8));
}

// Neighbours in the order are no neighbours in the text.
TEST(DataOrder, Mixes) {
  const DataOrder order(3, 10'000, 1);
  int close = 0;
  for (std::uint64_t i = 0; i + 1 < 10'000; ++i) {
    const auto a = static_cast<std::int64_t>(order.windowOf(i));
    const auto b = static_cast<std::int64_t>(order.windowOf(i + 1));
    if (std::abs(a - b) < 100) ++close;
  }
  EXPECT_NEAR(close, 200, 60);  // 2 % of pairs chosen at random
}

}  // namespace
}  // namespace railhead::trainer

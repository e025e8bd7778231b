#include "src/trainer/loops/loop_engine.h"

#include "src/trainer/engine_contract.h"
#include "src/trainer/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::trainer {
namespace {

LoopSettings settingsOf(int rank, int ranks, bool sharded) {
  LoopSettings out;
  out.shape = kContractModel;
  out.bucketBytes = 4096;
  out.rank = rank;
  out.ranks = ranks;
  out.sharded = sharded;
  return out;
}

std::unique_ptr<Engine> engineOf(int rank = 0, int ranks = 1, bool sharded = true) {
  auto engine = openLoopEngine(settingsOf(rank, ranks, sharded));
  EXPECT_TRUE(engine.has_value()) << engine.error().describe();
  EXPECT_TRUE(initialise(**engine, 11).has_value());
  return std::move(*engine);
}

const OpenEngine one = [] { return engineOf(); };

TEST(LoopEngine, StartsAtTheLossOfChance) { checkLossOfChance(one); }
TEST(LoopEngine, GradientsAreTheSlopesOfTheLoss) { checkGradients(one); }
TEST(LoopEngine, NoPositionSeesALaterOne) { checkNoPositionSeesALaterOne(one); }
TEST(LoopEngine, BucketsAreToldInOrderWhenTheyAreWhole) { checkBuckets(one); }
TEST(LoopEngine, WhatTheExchangeRefusesEndsThePass) { checkRefusalEndsThePass(one); }
TEST(LoopEngine, UpdatesAsAdamwDoes) { checkAdamw(one); }
TEST(LoopEngine, PassesAddUp) { checkPassesAddUp(one); }
TEST(LoopEngine, SameStepsSameBits) { checkSameBits(one); }

// What each of three ranks keeps, and the parts of the gradients it takes the squares of, make up
// the whole.
TEST(LoopEngine, RanksKeepTheirParts) {
  const RandomTokens tokens(5);
  const auto whole = engineOf();
  lossOf(*whole, tokens);
  const float squares = whole->sums()[kSquares];
  float sum = 0;
  std::uint64_t kept = 0;
  for (int rank = 0; rank < 3; ++rank) {
    auto opened = openLoopEngine(settingsOf(rank, 3, true));
    ASSERT_TRUE(opened.has_value());
    Engine& engine = **opened;
    for (const auto& piece : engine.pieces()) kept += piece.flat.count();
    // Its weights are whole, as after the first exchange.
    for (std::uint64_t element = 0; element < whole->plan().elements(); ++element) {
      reinterpret_cast<float*>(engine.weights())[placeOf(engine, element)] =
          reinterpret_cast<const float*>(whole->weights())[placeOf(*whole, element)];
    }
    lossOf(engine, tokens);
    sum += engine.sums()[kSquares];
  }
  EXPECT_EQ(kept, whole->plan().elements());
  EXPECT_NEAR(sum, squares, 1e-5 * squares);
}

TEST(LoopEngine, ATokenOutsideTheVocabularyIsRefused) {
  const auto engine = engineOf();
  RandomTokens tokens(1);
  tokens.targets[3] = 256;
  const auto passed =
      engine->pass(tokens.batch(), {}, [](std::size_t) { return Result<void>(); });
  ASSERT_FALSE(passed.has_value());
  EXPECT_EQ(passed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(passed.error().message, testing::HasSubstr("token 256"));
}

}  // namespace
}  // namespace railhead::trainer

// What LibTorch computes, held against differences and plain arithmetic.
#include "src/trainer/torch/torch_engine.h"

#include "src/trainer/engine_contract.h"
#include "src/trainer/loops/loop_engine.h"
#include "src/trainer/training.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::trainer {
namespace {

std::unique_ptr<Engine> engineWith(bool bfloat16) {
  TorchSettings settings;
  settings.shape = kContractModel;
  settings.bfloat16 = bfloat16;
  settings.bucketBytes = 4096;
  settings.threads = 1;
  settings.deterministic = true;
  auto engine = openTorchEngine(settings);
  EXPECT_TRUE(engine.has_value()) << engine.error().describe();
  EXPECT_TRUE(initialise(**engine, 11).has_value());
  return std::move(*engine);
}

// The same model with the same values, in plain loops.
std::unique_ptr<Engine> loopEngine() {
  LoopSettings same;
  same.shape = kContractModel;
  same.bucketBytes = 4096;
  auto engine = openLoopEngine(same);
  EXPECT_TRUE(engine.has_value()) << engine.error().describe();
  EXPECT_TRUE(initialise(**engine, 11).has_value());
  return std::move(*engine);
}

const OpenEngine inFloat32 = [] { return engineWith(false); };
const OpenEngine inBfloat16 = [] { return engineWith(true); };

TEST(TorchEngine, StartsAtTheLossOfChance) { checkLossOfChance(inFloat32); }

TEST(TorchEngine, GradientsAreTheSlopesOfTheLoss) { checkGradients(inFloat32); }

TEST(TorchEngine, NoPositionSeesALaterOne) { checkNoPositionSeesALaterOne(inFloat32); }

TEST(TorchEngine, BucketsAreToldInOrderWhenTheyAreWhole) { checkBuckets(inFloat32); }

TEST(TorchEngine, WhatTheExchangeRefusesEndsThePass) { checkRefusalEndsThePass(inFloat32); }

TEST(TorchEngine, UpdatesAsAdamwDoes) { checkAdamw(inFloat32); }

TEST(TorchEngine, PassesAddUp) {
  checkPassesAddUp(inFloat32);
  checkPassesAddUp(inBfloat16);
}

TEST(TorchEngine, Bfloat16WeightsAreItsRoundedParameters) {
  const auto engine = engineWith(true);
  lossOf(*engine, RandomTokens(8));
  StepSettings settings;
  settings.learningRate = 1e-4;  // less than bfloat16 can tell apart
  updateAll(*engine, settings);
  int apart = 0;
  for (std::uint64_t element = 0; element < engine->plan().elements(); element += 97) {
    const float parameter = stateOf(*engine, State::kParameter, element);
    const float weight = valueAt(*engine, engine->weights(), placeOf(*engine, element));
    EXPECT_NEAR(weight, parameter, std::abs(parameter) / 256) << element;
    apart += weight != parameter;
  }
  EXPECT_GT(apart, 10);  // the parameters keep what the weights cannot
}

TEST(TorchEngine, Bfloat16LearnsAsFloat32Does) {
  std::vector<double> losses;
  for (const bool bfloat16 : {false, true}) {
    const auto engine = engineWith(bfloat16);
    const RandomTokens tokens(9);
    StepSettings settings;
    settings.learningRate = 3e-3;
    double loss = 0;
    for (std::uint64_t step = 1; step <= 30; ++step) {
      settings.step = step;
      loss = lossOf(*engine, tokens);
      updateAll(*engine, settings);
    }
    EXPECT_LT(loss, 4);
    losses.push_back(loss);
  }
  EXPECT_NEAR(losses[1], losses[0], 0.05);
}

TEST(TorchEngine, SameStepsSameBits) { checkSameBits(inFloat32); }

// Two implementations of one model: where they differ, one of them is wrong.
TEST(TorchEngine, ComputesWhatTheLoopsCompute) {
  const auto torch = engineWith(false);
  const auto opened = loopEngine();
  Engine& loops = *opened;
  StepSettings settings;
  settings.learningRate = 1e-3;
  settings.weightDecay = 0.1;
  settings.clip = 1;
  for (settings.step = 1; settings.step <= 5; ++settings.step) {
    const RandomTokens tokens(settings.step);
    EXPECT_NEAR(lossOf(*torch, tokens), lossOf(loops, tokens), 2e-5) << settings.step;
    // Before weights part: AdamW makes much of small differences.
    if (settings.step == 1) {
      for (std::uint64_t element = 0; element < loops.plan().elements(); ++element) {
        const float gradient = gradientAt(loops, element);
        ASSERT_NEAR(gradientAt(*torch, element), gradient, 1e-6 + 1e-4 * std::abs(gradient))
            << element;
      }
    }
    updateAll(*torch, settings);
    updateAll(loops, settings);
  }
}

// Where the targets are most likely, what is left beside them is all that matters.
TEST(TorchEngine, ComputesWhatTheLoopsComputeOnceTheTargetsAreLikely) {
  const auto opened = loopEngine();
  Engine& loops = *opened;
  const RandomTokens tokens(12);
  StepSettings settings;
  settings.learningRate = 2e-2;
  double loss = lossOf(loops, tokens);
  for (settings.step = 1; loss > 0.05 && settings.step < 300; ++settings.step) {
    updateAll(loops, settings);
    loss = lossOf(loops, tokens);
  }
  ASSERT_LT(loss, 0.05);
  for (const bool bfloat16 : {false, true}) {
    const auto torch = engineWith(bfloat16);
    for (std::uint64_t element = 0; element < loops.plan().elements(); ++element) {
      const float value = stateOf(loops, State::kParameter, element);
      ASSERT_TRUE(torch->writeState(State::kParameter, {element, element + 1}, {&value, 1}));
    }
    ASSERT_TRUE(torch->publish().has_value());
    EXPECT_NEAR(lossOf(*torch, tokens), loss, (bfloat16 ? 0.1 : 1e-3) * loss);
    double largest = 0;
    for (std::uint64_t element = 0; element < loops.plan().elements(); ++element) {
      largest = std::max(largest, std::abs(double{gradientAt(loops, element)}));
    }
    for (std::uint64_t element = 0; element < loops.plan().elements(); ++element) {
      ASSERT_NEAR(gradientAt(*torch, element), gradientAt(loops, element),
                  (bfloat16 ? 0.1 : 1e-3) * largest)
          << element;
    }
  }
}

TEST(TorchEngine, ADeviceThatIsNotThereIsRefused) {
  TorchSettings settings;
  settings.shape = kContractModel;
  settings.cuda = true;
  settings.device = torchCudaDevices();
  const auto engine = openTorchEngine(settings);
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace railhead::trainer

// What LibTorch computes, held against differences and plain arithmetic.
#include "src/trainer/torch/torch_engine.h"

#include "src/base/random.h"
#include "src/trainer/training.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::trainer {
namespace {

constexpr ModelShape kModel{2, 2, 16, 8, 256};

struct Tokens {
  std::vector<std::int32_t> inputs, targets;
  explicit Tokens(std::uint64_t seed, std::size_t sequences = 4) {
    SplitMix random(seed);
    for (std::size_t i = 0; i < sequences * kModel.context; ++i) {
      inputs.push_back(static_cast<std::int32_t>(random.next() % 256));
      targets.push_back(static_cast<std::int32_t>(random.next() % 256));
    }
  }
  Batch batch() const { return {inputs, targets, inputs.size() / kModel.context}; }
};

std::unique_ptr<Engine> engineWith(bool bfloat16, std::uint64_t bucketBytes = 4096) {
  TorchSettings settings;
  settings.shape = kModel;
  settings.bfloat16 = bfloat16;
  settings.bucketBytes = bucketBytes;
  settings.threads = 1;
  settings.deterministic = true;
  auto engine = openTorchEngine(settings);
  EXPECT_TRUE(engine.has_value()) << engine.error().describe();
  EXPECT_TRUE(initialise(**engine, 11).has_value());
  return std::move(*engine);
}

const BucketReady kNoMatter = [](std::size_t) { return Result<void>(); };

double lossOf(Engine& engine, const Tokens& tokens) {
  EXPECT_TRUE(engine.pass(tokens.batch(), {}, kNoMatter).has_value());
  EXPECT_TRUE(engine.sumUp(0).has_value());
  return engine.outcome()->sums[kLoss];
}

float stateOf(Engine& engine, State state, std::uint64_t element) {
  float value = 0;
  EXPECT_TRUE(engine.readState(state, {element, element + 1}, {&value, 1}).has_value());
  return value;
}
void setParameter(Engine& engine, std::uint64_t element, float value) {
  EXPECT_TRUE(
      engine.writeState(State::kParameter, {element, element + 1}, {&value, 1}).has_value());
  EXPECT_TRUE(engine.publish().has_value());
}

// Where an element of the flat space lies in the padded buffers.
std::uint64_t placeOf(const Engine& engine, std::uint64_t element) {
  for (const auto& bucket : engine.plan().buckets()) {
    if (element >= bucket.flat.begin && element < bucket.flat.end) {
      return bucket.offset + element - bucket.flat.begin;
    }
  }
  return 0;
}
float gradientAt(Engine& engine, std::uint64_t element) {
  return reinterpret_cast<const float*>(engine.gradients())[placeOf(engine, element)];
}
float bfloat16At(const std::byte* buffer, std::uint64_t place) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, buffer + 2 * place, 2);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

TEST(TorchEngine, StartsAtTheLossOfChance) {
  const auto engine = engineWith(false);
  EXPECT_NEAR(lossOf(*engine, Tokens(1)), std::log(256), 0.05);
}

// The slope between two values on either side, for that element of each parameter that matters
// most.
TEST(TorchEngine, GradientsAreTheSlopesOfTheLoss) {
  const auto engine = engineWith(false);
  const Tokens tokens(2);
  for (const auto& parameter : engine->plan().parameters()) {
    lossOf(*engine, tokens);
    auto element = parameter.begin;
    for (auto at = parameter.begin; at < parameter.end(); ++at) {
      if (std::abs(gradientAt(*engine, at)) > std::abs(gradientAt(*engine, element))) element = at;
    }
    const double gradient = gradientAt(*engine, element);
    const float value = stateOf(*engine, State::kParameter, element);
    constexpr float kStep = 0.01F;
    setParameter(*engine, element, value + kStep);
    const double above = lossOf(*engine, tokens);
    setParameter(*engine, element, value - kStep);
    const double below = lossOf(*engine, tokens);
    setParameter(*engine, element, value);
    // What is left: the loss is rounded to some 5e-7, and bends.
    EXPECT_NEAR((above - below) / (2.0 * kStep), gradient, 5e-5 + 0.03 * std::abs(gradient))
        << parameter.name;
    EXPECT_GT(std::abs(gradient), 1e-4) << parameter.name;
  }
}

// What another target of the third position costs depends on what that position sees alone.
TEST(TorchEngine, NoPositionSeesALaterOne) {
  const auto engine = engineWith(false);
  const auto costOfAnotherTarget = [&](Tokens tokens) {
    const double before = lossOf(*engine, tokens);
    tokens.targets[2] = (tokens.targets[2] + 7) % 256;
    return lossOf(*engine, tokens) - before;
  };
  const Tokens tokens(3, 1);
  const double cost = costOfAnotherTarget(tokens);
  for (std::size_t position = 0; position < kModel.context; ++position) {
    Tokens other = tokens;
    other.inputs[position] = (other.inputs[position] + 1) % 256;
    const double difference = std::abs(costOfAnotherTarget(other) - cost);
    if (position <= 2) {
      EXPECT_GT(difference, 1e-5) << position;
    } else {
      EXPECT_LT(difference, 1e-6) << position;
    }
  }
}

TEST(TorchEngine, BucketsAreToldInOrderWhenTheyAreWhole) {
  const auto engine = engineWith(false);
  const Tokens tokens(4);
  const auto& buckets = engine->plan().buckets();
  ASSERT_GT(buckets.size(), 3U);
  std::vector<std::size_t> told;
  std::vector<std::vector<float>> then;
  const auto copyOf = [&](std::size_t index) {
    const auto* at = reinterpret_cast<const float*>(engine->gradients()) + buckets[index].offset;
    return std::vector<float>(at, at + buckets[index].padded);
  };
  bool lastWasEmpty = false;
  ASSERT_TRUE(engine
                  ->pass(tokens.batch(), {},
                         [&](std::size_t bucket) {
                           // The backward pass goes on: what comes last is not there yet.
                           if (told.empty()) {
                             const auto last = copyOf(buckets.size() - 1);
                             lastWasEmpty = std::all_of(last.begin(), last.end(),
                                                        [](float value) { return value == 0; });
                           }
                           told.push_back(bucket);
                           then.push_back(copyOf(bucket));
                           return Result<void>();
                         })
                  .has_value());
  EXPECT_TRUE(lastWasEmpty);
  ASSERT_EQ(told.size(), buckets.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i], i);
    EXPECT_EQ(then[i], copyOf(i)) << i;
  }
}

TEST(TorchEngine, WhatTheExchangeRefusesEndsThePass) {
  const auto engine = engineWith(false);
  const auto passed = engine->pass(Tokens(4).batch(), {}, [](std::size_t) -> Result<void> {
    return Error(ErrorCode::kUnavailable, "the peer is gone");
  });
  ASSERT_FALSE(passed.has_value());
  EXPECT_EQ(passed.error().code, ErrorCode::kUnavailable);
}

TEST(TorchEngine, UpdatesAsAdamwDoes) {
  const auto engine = engineWith(false);
  StepSettings settings;
  settings.learningRate = 0.01;
  settings.weightDecay = 0.1;
  settings.gradientScale = 0.5;
  settings.clip = 0.05;
  // A matrix's element and a vector's.
  for (const std::uint64_t step : {1U, 2U}) {
    settings.step = step;
    lossOf(*engine, Tokens(5 + step));
    const double norm = std::sqrt(engine->outcome()->sums[kSquares]) * settings.gradientScale;
    ASSERT_GT(norm, settings.clip);
    struct Before {
      std::uint64_t element;
      double decay, gradient, parameter, first, second;
    };
    std::vector<Before> elements;
    for (const auto& parameter : engine->plan().parameters()) {
      const auto at = parameter.begin + parameter.count() / 2;
      elements.push_back({at, parameter.decays ? settings.weightDecay : 0,
                          gradientAt(*engine, at) * settings.gradientScale * settings.clip / norm,
                          stateOf(*engine, State::kParameter, at),
                          stateOf(*engine, State::kFirstMoment, at),
                          stateOf(*engine, State::kSecondMoment, at)});
    }
    for (std::size_t bucket = 0; bucket < engine->plan().buckets().size(); ++bucket) {
      ASSERT_TRUE(engine->update(bucket, settings).has_value());
    }
    for (const auto& each : elements) {
      const double first = 0.9 * each.first + 0.1 * each.gradient;
      const double second = 0.95 * each.second + 0.05 * each.gradient * each.gradient;
      const auto power = static_cast<double>(step);
      const double direction = first / (1 - std::pow(0.9, power)) /
                               (std::sqrt(second / (1 - std::pow(0.95, power))) + 1e-8);
      const double expected = each.parameter * (1 - 0.01 * each.decay) - 0.01 * direction;
      EXPECT_NEAR(stateOf(*engine, State::kParameter, each.element), expected, 2e-5)
          << each.element;
      EXPECT_NEAR(stateOf(*engine, State::kFirstMoment, each.element), first,
                  1e-5 * std::abs(first) + 1e-9);
    }
  }
}

TEST(TorchEngine, PassesAddUp) {
  for (const bool bfloat16 : {false, true}) {
    const auto engine = engineWith(bfloat16);
    const Tokens first(6);
    const Tokens second(7);
    const auto element = engine->plan().elements() - 3;  // of the last norm's bias
    const auto gradient = [&] {
      return bfloat16 ? bfloat16At(engine->gradients(), placeOf(*engine, element))
                      : gradientAt(*engine, element);
    };
    const double losses = lossOf(*engine, first);
    double sum = gradient();
    const double lossOfSecond = lossOf(*engine, second);
    sum += gradient();
    int told = 0;
    const BucketReady count = [&](std::size_t) {
      ++told;
      return Result<void>();
    };
    ASSERT_TRUE(engine->pass(first.batch(), {true, false}, count).has_value());
    EXPECT_EQ(told, 0);
    ASSERT_TRUE(engine->pass(second.batch(), {false, true}, count).has_value());
    EXPECT_EQ(told, static_cast<int>(engine->plan().buckets().size()));
    EXPECT_NEAR(gradient(), sum, bfloat16 ? std::abs(sum) / 100 : 1e-6);
    ASSERT_TRUE(engine->sumUp(1).has_value());
    const auto outcome = engine->outcome();
    EXPECT_NEAR(outcome->sums[kLoss], losses + lossOfSecond, 1e-4);
    EXPECT_EQ(outcome->sums[kStop], 1);
  }
}

TEST(TorchEngine, Bfloat16WeightsAreItsRoundedParameters) {
  const auto engine = engineWith(true);
  lossOf(*engine, Tokens(8));
  StepSettings settings;
  settings.learningRate = 1e-4;  // less than bfloat16 can tell apart
  for (std::size_t bucket = 0; bucket < engine->plan().buckets().size(); ++bucket) {
    ASSERT_TRUE(engine->update(bucket, settings).has_value());
  }
  int apart = 0;
  for (std::uint64_t element = 0; element < engine->plan().elements(); element += 97) {
    const float parameter = stateOf(*engine, State::kParameter, element);
    const float weight = bfloat16At(engine->weights(), placeOf(*engine, element));
    EXPECT_NEAR(weight, parameter, std::abs(parameter) / 256) << element;
    apart += weight != parameter;
  }
  EXPECT_GT(apart, 10);  // the parameters keep what the weights cannot
}

TEST(TorchEngine, Bfloat16LearnsAsFloat32Does) {
  std::vector<double> losses;
  for (const bool bfloat16 : {false, true}) {
    const auto engine = engineWith(bfloat16);
    const Tokens tokens(9);
    StepSettings settings;
    settings.learningRate = 3e-3;
    double loss = 0;
    for (std::uint64_t step = 1; step <= 30; ++step) {
      settings.step = step;
      loss = lossOf(*engine, tokens);
      for (std::size_t bucket = 0; bucket < engine->plan().buckets().size(); ++bucket) {
        ASSERT_TRUE(engine->update(bucket, settings).has_value());
      }
    }
    EXPECT_LT(loss, 4);
    losses.push_back(loss);
  }
  EXPECT_NEAR(losses[1], losses[0], 0.05);
}

TEST(TorchEngine, SameStepsSameBits) {
  std::vector<std::vector<float>> ends;
  for (int round = 0; round < 2; ++round) {
    const auto engine = engineWith(false);
    StepSettings settings;
    settings.learningRate = 1e-3;
    for (std::uint64_t step = 1; step <= 3; ++step) {
      settings.step = step;
      lossOf(*engine, Tokens(step));
      for (std::size_t bucket = 0; bucket < engine->plan().buckets().size(); ++bucket) {
        ASSERT_TRUE(engine->update(bucket, settings).has_value());
      }
    }
    const auto* weights = reinterpret_cast<const float*>(engine->weights());
    ends.emplace_back(weights, weights + engine->plan().paddedElements());
  }
  EXPECT_EQ(ends[0], ends[1]);
}

TEST(TorchEngine, ADeviceThatIsNotThereIsRefused) {
  TorchSettings settings;
  settings.shape = kModel;
  settings.cuda = true;
  settings.device = torchCudaDevices();
  const auto engine = openTorchEngine(settings);
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace railhead::trainer

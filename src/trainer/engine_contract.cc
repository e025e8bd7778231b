#include "src/trainer/engine_contract.h"

#include "src/base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace railhead::trainer {

RandomTokens::RandomTokens(std::uint64_t seed, std::size_t sequences) {
  SplitMix random(seed);
  for (std::size_t i = 0; i < sequences * kContractModel.context; ++i) {
    inputs.push_back(static_cast<std::int32_t>(random.next() % 256));
    targets.push_back(static_cast<std::int32_t>(random.next() % 256));
  }
}

Batch RandomTokens::batch() const {
  return {inputs, targets, inputs.size() / kContractModel.context};
}

double lossOf(Engine& engine, const RandomTokens& tokens) {
  const auto passed = engine.pass(tokens.batch(), {}, [](std::size_t) { return Result<void>(); });
  EXPECT_TRUE(passed.has_value());
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

void updateAll(Engine& engine, const StepSettings& settings) {
  for (std::size_t bucket = 0; bucket < engine.plan().buckets().size(); ++bucket) {
    EXPECT_TRUE(engine.update(bucket, settings).has_value());
  }
}

std::uint64_t placeOf(const Engine& engine, std::uint64_t element) {
  for (const auto& bucket : engine.plan().buckets()) {
    if (element >= bucket.flat.begin && element < bucket.flat.end) {
      return bucket.offset + element - bucket.flat.begin;
    }
  }
  return 0;
}

float valueAt(const Engine& engine, const std::byte* buffer, std::uint64_t place) {
  if (engine.type() == collective::ElementType::kFloat32) {
    return reinterpret_cast<const float*>(buffer)[place];
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, buffer + 2 * place, 2);
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float gradientAt(Engine& engine, std::uint64_t element) {
  return valueAt(engine, engine.gradients(), placeOf(engine, element));
}

void checkLossOfChance(const OpenEngine& open) {
  const auto engine = open();
  EXPECT_NEAR(lossOf(*engine, RandomTokens(1)), std::log(256), 0.05);
}

void checkGradients(const OpenEngine& open) {
  const auto engine = open();
  const RandomTokens tokens(2);
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

void checkNoPositionSeesALaterOne(const OpenEngine& open) {
  const auto engine = open();
  const auto costOfAnotherTarget = [&](RandomTokens tokens) {
    const double before = lossOf(*engine, tokens);
    tokens.targets[2] = (tokens.targets[2] + 7) % 256;
    return lossOf(*engine, tokens) - before;
  };
  const RandomTokens tokens(3, 1);
  const double cost = costOfAnotherTarget(tokens);
  for (std::size_t position = 0; position < kContractModel.context; ++position) {
    RandomTokens other = tokens;
    other.inputs[position] = (other.inputs[position] + 1) % 256;
    const double difference = std::abs(costOfAnotherTarget(other) - cost);
    if (position <= 2) {
      EXPECT_GT(difference, 1e-5) << position;
    } else {
      EXPECT_LT(difference, 1e-6) << position;
    }
  }
}

void checkBuckets(const OpenEngine& open) {
  const auto engine = open();
  const RandomTokens tokens(4);
  const auto& buckets = engine->plan().buckets();
  ASSERT_GT(buckets.size(), 3U);
  std::vector<std::size_t> told;
  std::vector<std::vector<float>> then;
  const auto copyOf = [&](std::size_t index) {
    const auto* at = reinterpret_cast<const float*>(engine->gradients()) + buckets[index].offset;
    return std::vector<float>(at, at + buckets[index].padded);
  };
  std::vector<float> lastAtFirst;
  ASSERT_TRUE(engine
                  ->pass(tokens.batch(), {},
                         [&](std::size_t bucket) {
                           if (told.empty()) lastAtFirst = copyOf(buckets.size() - 1);
                           told.push_back(bucket);
                           then.push_back(copyOf(bucket));
                           return Result<void>();
                         })
                  .has_value());
  // The backward pass went on: what comes last was not whole yet.
  EXPECT_NE(lastAtFirst, copyOf(buckets.size() - 1));
  ASSERT_EQ(told.size(), buckets.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i], i);
    EXPECT_EQ(then[i], copyOf(i)) << i;
  }
}

void checkRefusalEndsThePass(const OpenEngine& open) {
  const auto engine = open();
  const auto passed = engine->pass(RandomTokens(4).batch(), {}, [](std::size_t) -> Result<void> {
    return Error(ErrorCode::kUnavailable, "the peer is gone");
  });
  ASSERT_FALSE(passed.has_value());
  EXPECT_EQ(passed.error().code, ErrorCode::kUnavailable);
}

void checkAdamw(const OpenEngine& open) {
  const auto engine = open();
  StepSettings settings;
  settings.learningRate = 0.01;
  settings.weightDecay = 0.1;
  settings.gradientScale = 0.5;
  settings.clip = 0.05;
  // A matrix's element and a vector's.
  for (const std::uint64_t step : {1U, 2U}) {
    settings.step = step;
    lossOf(*engine, RandomTokens(5 + step));
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
    updateAll(*engine, settings);
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

void checkPassesAddUp(const OpenEngine& open) {
  const auto engine = open();
  const RandomTokens first(6);
  const RandomTokens second(7);
  const auto element = engine->plan().elements() - 3;  // of the last norm's bias
  const bool bfloat16 = engine->type() == collective::ElementType::kBfloat16;
  const auto gradient = [&] { return gradientAt(*engine, element); };
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

void checkSameBits(const OpenEngine& open) {
  std::vector<std::vector<float>> ends;
  for (int round = 0; round < 2; ++round) {
    const auto engine = open();
    StepSettings settings;
    settings.learningRate = 1e-3;
    for (std::uint64_t step = 1; step <= 3; ++step) {
      settings.step = step;
      lossOf(*engine, RandomTokens(step));
      updateAll(*engine, settings);
    }
    const auto* weights = reinterpret_cast<const float*>(engine->weights());
    ends.emplace_back(weights, weights + engine->plan().paddedElements());
  }
  EXPECT_EQ(ends[0], ends[1]);
}

}  // namespace railhead::trainer

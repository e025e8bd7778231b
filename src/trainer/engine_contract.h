// What every Engine promises, as test bodies: run over each one, with float32 unless it says
// otherwise. And what tests of engines share.
#pragma once

#include "src/trainer/engine.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace railhead::trainer {

inline constexpr ModelShape kContractModel{2, 2, 16, 8, 256};

struct RandomTokens {
  std::vector<std::int32_t> inputs, targets;
  explicit RandomTokens(std::uint64_t seed, std::size_t sequences = 4);
  Batch batch() const;
};

double lossOf(Engine& engine, const RandomTokens& tokens);
float stateOf(Engine& engine, State state, std::uint64_t element);
void setParameter(Engine& engine, std::uint64_t element, float value);
void updateAll(Engine& engine, const StepSettings& settings);
// Where an element of the flat space lies in the padded buffers.
std::uint64_t placeOf(const Engine& engine, std::uint64_t element);
// Of either type.
float valueAt(const Engine& engine, const std::byte* buffer, std::uint64_t place);
float gradientAt(Engine& engine, std::uint64_t element);

// One rank's engine for kContractModel with buckets of 4096 bytes, initialised with seed 11.
using OpenEngine = std::function<std::unique_ptr<Engine>()>;

// Call each from a TEST; they use EXPECT and ASSERT.
void checkLossOfChance(const OpenEngine& open);
// The slope between two values on either side, for that element of each parameter that matters
// most.
void checkGradients(const OpenEngine& open);
// What another target of the third position costs depends on what that position sees alone.
void checkNoPositionSeesALaterOne(const OpenEngine& open);
void checkBuckets(const OpenEngine& open);
void checkRefusalEndsThePass(const OpenEngine& open);
void checkAdamw(const OpenEngine& open);
// Of bfloat16 too.
void checkPassesAddUp(const OpenEngine& open);
void checkSameBits(const OpenEngine& open);

}  // namespace railhead::trainer

// The engine without a library: GPT-2 in float32 on one thread, in loops whose order never changes.
// For machines without LibTorch, and what LibTorch's results are held against. Some hundred times
// slower than a GPU; meant for small models.
#pragma once

#include "src/base/result.h"
#include "src/trainer/engine.h"

#include <cstdint>
#include <memory>

namespace railhead::trainer {

struct LoopSettings {
  ModelShape shape;
  int rank = 0;
  int ranks = 1;
  bool sharded = true;                   // keeps its own pieces; else all
  std::uint64_t bucketBytes = 25 << 20;  // of gradients
};

// State and weights are not initialised. Its calls wait.
Result<std::unique_ptr<Engine>> openLoopEngine(const LoopSettings& settings);

}  // namespace railhead::trainer

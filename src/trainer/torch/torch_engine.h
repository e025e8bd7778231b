// The engine over LibTorch, on a CPU or one CUDA device. No LibTorch type leaves src/trainer/torch,
// and what it throws becomes an Error here.
//
// Float32: weights, gradients, passes. Bfloat16: weights, gradients and passes in bfloat16 with
// parameters and moments in float32, from which the weights are rounded after each update;
// gradients of several passes are added up in float32.
#pragma once

#include "src/base/result.h"
#include "src/trainer/engine.h"

#include <cstdint>
#include <memory>
#include <string>

namespace railhead::trainer {

struct TorchSettings {
  ModelShape shape;
  int rank = 0;
  int ranks = 1;
  bool sharded = true;                   // keeps its own pieces; else all
  std::uint64_t bucketBytes = 25 << 20;  // of gradients
  bool bfloat16 = false;
  bool cuda = false;
  int device = 0;   // of CUDA: which
  int threads = 0;  // of the CPU; 0: LibTorch's own choice
  // Only operations that give the same bits again; LibTorch refuses others.
  bool deterministic = false;
};

// "1.13.1"
std::string torchVersion();
// How many CUDA devices LibTorch sees; 0 also for a build without CUDA.
int torchCudaDevices();

// State and weights are not initialised. kEnvironment: no such device; kExhausted: it does not fit.
Result<std::unique_ptr<Engine>> openTorchEngine(const TorchSettings& settings);

}  // namespace railhead::trainer

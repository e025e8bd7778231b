// A kernel that only computes: what stands for a training step while a collective is measured
// beside it. It multiplies and adds in registers, in many short blocks, so that its time tells how
// many multiprocessors are left to it, and a kernel of another stream gets in between.
#pragma once

#include "src/base/result.h"
#include "src/gpu/cuda/context.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace railhead::gpu::cuda {

// The kernel as PTX text: "compute_pieces". For every GPU from compute capability 7.5 on; the
// driver compiles it.
std::string computePtx();

// Used by one thread at a time.
class ComputeKernel {
 public:
  static Result<std::unique_ptr<ComputeKernel>> load(const Context& context);

  // Begins so many units on `stream`: each fills every multiprocessor once, for some microseconds.
  // At most kUnitsInLaunch go into one launch, as a step is many kernels and not one.
  Result<void> start(const Stream& stream, std::uint64_t units) const;
  // Units whose blocks have all counted themselves. Copies on `stream`; until the deadline.
  Result<std::uint64_t> done(const Stream& stream, Deadline deadline) const;

  static constexpr std::uint64_t kUnitsInLaunch = 8;

 private:
  ComputeKernel(Module module, Kernel kernel, DeviceMemory tally, unsigned blocksInUnit)
      : module_(std::move(module)),
        kernel_(kernel),
        tally_(std::move(tally)),
        blocksInUnit_(blocksInUnit) {}

  Module module_;
  Kernel kernel_;
  DeviceMemory tally_;
  unsigned blocksInUnit_;
};

}  // namespace railhead::gpu::cuda

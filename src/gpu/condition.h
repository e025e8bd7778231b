// Asks a GPU how it is. Private to src/gpu.
#pragma once

#include "src/gpu/health.h"
#include "src/gpu/nvml.h"

namespace railhead::gpu {

// From what NVML documents: the codes "GPU is lost" and "reset required" of any query, the driver's
// recommended recovery action, failed and pending row remappings, pages waiting for retirement.
// Needs no right beyond opening the device; takes a few calls into the driver.
GpuCondition readCondition(const Nvml& nvml, abi::Device device);

}  // namespace railhead::gpu

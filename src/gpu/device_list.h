// Which devices the driver has now, with their handles. Private to src/gpu: a handle lives as long
// as its session.
#pragma once

#include "src/gpu/nvml.h"

#include <optional>
#include <string>
#include <vector>

namespace railhead::gpu {

struct MigHandle {
  abi::Device device = nullptr;
  std::string uuid;
  std::optional<unsigned> gpuInstance, computeInstance;
};

struct GpuHandle {
  abi::Device device = nullptr;
  unsigned index = 0;
  std::string uuid;
  bool migCapable = false;
  bool migEnabled = false;
  std::vector<MigHandle> migs;
};

struct DeviceList {
  std::vector<GpuHandle> gpus;
  std::vector<std::string> problems;  // "GPU 3: the GPU is lost ..."
};

// kUnavailable when NVML cannot even count its GPUs.
Result<DeviceList> listDevices(const Nvml& nvml);

}  // namespace railhead::gpu

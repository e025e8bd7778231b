#include "src/gpu/device_list.h"

#include <algorithm>
#include <utility>

namespace railhead::gpu {
namespace {

constexpr unsigned kMaxGpus = 256;
constexpr unsigned kMaxMigDevices = 64;

std::vector<MigHandle> listMigs(const Nvml& nvml, abi::Device gpu) {
  std::vector<MigHandle> migs;
  const unsigned slots =
      std::min(ask<unsigned>(nvml.maxMigDevices, gpu).value_or(0), kMaxMigDevices);
  for (unsigned slot = 0; slot < slots; ++slot) {  // an unused slot answers "not found"
    const auto device = ask<abi::Device>(nvml.migDevice, gpu, slot);
    if (!device) continue;
    MigHandle mig{*device, askText<abi::kUuidBytes>(nvml.uuid, *device),
                  ask<unsigned>(nvml.gpuInstance, *device),
                  ask<unsigned>(nvml.computeInstance, *device)};
    if (!mig.uuid.empty()) migs.push_back(std::move(mig));
  }
  return migs;
}

}  // namespace

Result<DeviceList> listDevices(const Nvml& nvml) {
  abi::Return code = abi::kSuccess;
  const auto count = ask<unsigned>(code, nvml.count);
  if (!count) return Error(ErrorCode::kUnavailable, "count the GPUs: " + nvmlCodeText(code));
  DeviceList list;
  for (unsigned index = 0; index < std::min(*count, kMaxGpus); ++index) {
    const std::string who = "GPU " + std::to_string(index) + ": ";
    const auto device = ask<abi::Device>(code, nvml.handleByIndex, index);
    if (!device) {
      list.problems.push_back(who + nvmlCodeText(code));
      continue;
    }
    GpuHandle gpu{*device, index, {}};
    char uuid[abi::kUuidBytes] = {};
    code = nvml.uuid(*device, uuid, sizeof uuid);
    gpu.uuid = nvmlText(code, uuid, sizeof uuid);
    if (gpu.uuid.empty()) {
      list.problems.push_back(who + "it does not tell its UUID: " + nvmlCodeText(code));
      continue;
    }
    unsigned current = 0;
    unsigned pending = 0;
    if (nvml.migMode != nullptr && nvml.migMode(*device, &current, &pending) == abi::kSuccess) {
      gpu.migCapable = true;
      gpu.migEnabled = current == 1;
    }
    if (gpu.migEnabled) gpu.migs = listMigs(nvml, *device);
    list.gpus.push_back(std::move(gpu));
  }
  return list;
}

}  // namespace railhead::gpu

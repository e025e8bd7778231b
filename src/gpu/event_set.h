// NVML's event set. Private to src/gpu.
#pragma once

#include "src/gpu/nvml.h"

#include <chrono>
#include <memory>

namespace railhead::gpu {

class EventSet {
 public:
  explicit EventSet(std::shared_ptr<Nvml> nvml);  // usable() tells whether it worked
  ~EventSet();
  EventSet(const EventSet&) = delete;
  EventSet& operator=(const EventSet&) = delete;

  bool usable() const { return set_ != nullptr; }
  // Those of `wanted` that the device supports; when it takes them only one by one, the ones it
  // takes. The types that are registered; 0: none.
  unsigned long long add(abi::Device device, unsigned long long wanted);
  abi::Return wait(abi::EventData& event, std::chrono::milliseconds limit);

 private:
  std::shared_ptr<Nvml> nvml_;
  abi::EventSet set_ = nullptr;
};

}  // namespace railhead::gpu

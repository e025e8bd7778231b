#include "src/gpu/event_set.h"

#include <utility>

namespace railhead::gpu {

EventSet::EventSet(std::shared_ptr<Nvml> nvml) : nvml_(std::move(nvml)) {
  if (nvml_->eventSetFree == nullptr || nvml_->eventSetWait == nullptr ||
      nvml_->registerEvents == nullptr)
    return;
  set_ = ask<abi::EventSet>(nvml_->eventSetCreate).value_or(nullptr);
}

EventSet::~EventSet() {
  if (set_ != nullptr) nvml_->eventSetFree(set_);
}

unsigned long long EventSet::add(abi::Device device, unsigned long long wanted) {
  if (!usable()) return 0;
  const auto types =
      wanted & ask<unsigned long long>(nvml_->supportedEvents, device).value_or(wanted);
  if (types == 0) return 0;
  if (nvml_->registerEvents(device, types, set_) == abi::kSuccess) return types;
  // "Not supported" registered none of them.
  unsigned long long taken = 0;
  for (unsigned long long left = types; left != 0; left &= left - 1) {
    const unsigned long long one = left & ~(left - 1);
    if (nvml_->registerEvents(device, one, set_) == abi::kSuccess) taken |= one;
  }
  return taken;
}

abi::Return EventSet::wait(abi::EventData& event, std::chrono::milliseconds limit) {
  event = {};
  return nvml_->eventSetWait(set_, &event, static_cast<unsigned int>(limit.count()));
}

}  // namespace railhead::gpu

// Owners of libibverbs objects. Private to src/verbs: the only header with <infiniband/verbs.h>.
#pragma once

#include "src/base/result.h"
#include "src/verbs/types.h"

#include <memory>
#include <string>
#include <utility>

#include <infiniband/verbs.h>

namespace railhead::verbs {

inline constexpr std::uint8_t kPort = 1;  // the only one of a RoCE device

// Calls a C destroy function when the last owner goes. What it depends on is captured in `parent`,
// so a queue pair keeps its completion queue, and that its context, alive.
template <typename T, typename Parent>
std::shared_ptr<T> own(T* object, int (*destroy)(T*), Parent parent) {
  return std::shared_ptr<T>(object, [destroy, parent = std::move(parent)](T* dying) {
    destroy(dying);  // fails only on a broken order of destruction, which the captures exclude
  });
}

// An open device and its protection domain.
struct OpenDevice {
  std::shared_ptr<ibv_context> context;
  std::shared_ptr<ibv_pd> pd;
  DeviceInfo info;
};

// Fills everything but `problem`. Works without a protection domain.
Result<DeviceInfo> queryDevice(ibv_context& context);

}  // namespace railhead::verbs

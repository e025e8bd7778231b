// What the exported calls share. Each checks what CUDA checks, in its order: initialised, a current
// context, one that is not spoiled, the arguments.
#pragma once

#include "tests/support/fake_cuda/control.h"
#include "tests/support/fake_cuda/state.h"

#include <cstdint>
#include <functional>
#include <vector>

using namespace railhead::gpu::cuda::abi;   // NOLINT: its includers are CUDA's interface
using namespace railhead::testing_support;  // NOLINT
#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace railhead::testing_support {

using Lock = std::unique_lock<std::mutex>;

inline thread_local std::vector<Context> current;

// What every call checks first. `lock` is held afterwards.
Return enter(const char* call, Lock& lock, bool needsContext);

#define ENTER(needsContext) \
  Lock lock;                \
  if (const Return code = enter(__func__, lock, needsContext); code != kSuccess) return code

// A span of device memory that work on this stream will touch.
struct Span {
  std::uintptr_t address;
  std::size_t bytes;
};

// With the lock held. Work on memory that is not there spoils the context, as on a device, later:
// the call itself succeeds.
Return start(Stream handle, const std::vector<Span>& spans, std::function<void()> work);

}  // namespace railhead::testing_support

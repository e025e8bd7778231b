#include "src/gpu/cuda/context.h"
#include "src/gpu/cuda/driver.h"

#include <algorithm>
#include <thread>

namespace railhead::gpu::cuda {
namespace {

constexpr std::chrono::microseconds kSpin{500};
constexpr std::chrono::microseconds kLongestNap{500};

abi::Stream raw(const Owned<void*>& owned) { return static_cast<abi::Stream>(owned.get()); }

// A call on a stream, with its device current.
template <typename Call>
Result<void> onStream(const Owned<void*>& owned, const char* what, Call call) {
  const Context::Current current(owned.context());
  RAILHEAD_TRY(current.result());
  const Driver& driver = owned.context().driver();
  const abi::Return code = call(driver, raw(owned));
  if (code == abi::kSuccess) return {};
  return driver.error(code, std::string(what) + " on " + owned.context().facts().name);
}

}  // namespace

Result<void> Stream::copyToDevice(std::uint64_t to, std::span<const std::byte> from) const {
  return onStream(owned_, "copy to the device", [&](const Driver& driver, abi::Stream stream) {
    return driver.copyToDevice(to, from.data(), from.size(), stream);
  });
}

Result<void> Stream::copyToHost(std::span<std::byte> to, std::uint64_t from) const {
  return onStream(owned_, "copy to the host", [&](const Driver& driver, abi::Stream stream) {
    return driver.copyToHost(to.data(), from, to.size(), stream);
  });
}

Result<void> Stream::copyOnDevice(std::uint64_t to, std::uint64_t from, std::size_t bytes) const {
  return onStream(owned_, "copy", [&](const Driver& driver, abi::Stream stream) {
    return driver.copyOnDevice(to, from, bytes, stream);
  });
}

Result<void> Stream::setBytes(std::uint64_t to, std::uint8_t value, std::size_t bytes) const {
  return onStream(owned_, "set bytes", [&](const Driver& driver, abi::Stream stream) {
    return driver.setBytes(to, value, bytes, stream);
  });
}

Result<void> Stream::launch(const Kernel& kernel, unsigned blocks, unsigned threads,
                            std::span<void*> arguments) const {
  return onStream(owned_, "start a kernel", [&](const Driver& driver, abi::Stream stream) {
    return driver.launchKernel(static_cast<abi::Function>(kernel.handle_), blocks, 1, 1, threads, 1,
                               1, 0, stream, arguments.data(), nullptr);
  });
}

Result<void> Stream::record(const Event& event) const {
  return onStream(owned_, "record an event", [&](const Driver& driver, abi::Stream stream) {
    return driver.recordEvent(static_cast<abi::Event>(event.handle()), stream);
  });
}

Result<void> Stream::follow(const Event& event) const {
  return onStream(owned_, "wait for an event", [&](const Driver& driver, abi::Stream stream) {
    return driver.waitEvent(stream, static_cast<abi::Event>(event.handle()), 0);
  });
}

Result<bool> Stream::idle() const {
  const Context::Current current(owned_.context());
  RAILHEAD_TRY(current.result());
  const Driver& driver = owned_.context().driver();
  const abi::Return code = driver.queryStream(raw(owned_));
  if (code == abi::kNotReady) return false;
  RAILHEAD_TRY(driver.check(code, "work on " + owned_.context().facts().name));
  return true;
}

Result<void> Stream::wait(Deadline deadline) const {
  const auto start = std::chrono::steady_clock::now();
  auto nap = std::chrono::microseconds(10);
  while (true) {
    RAILHEAD_TRY_ASSIGN(const bool done, idle());
    if (done) return {};
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "work on " + owned_.context().facts().name + " did not end in time");
    }
    if (now - start < kSpin) continue;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(nap, deadline - now));
    nap = std::min(nap * 2, kLongestNap);
  }
}

}  // namespace railhead::gpu::cuda

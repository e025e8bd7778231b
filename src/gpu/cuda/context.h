// One CUDA device to work on: memory, streams, events, kernels. Everything made from a context
// keeps it alive, so the order of destruction is free. Each object is used by one thread at a time;
// different objects of one context by any.
//
// Work on a stream is asynchronous: its errors may show up at a later call. A device error (illegal
// address, uncorrectable ECC error) spoils the context for the rest of the process.
#pragma once

#include "src/base/result.h"
#include "src/gpu/cuda/cuda.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace railhead::gpu::cuda {

using Deadline = std::chrono::steady_clock::time_point;

// Something of the driver's that is given back once. Move-only.
template <typename T>
class Owned {
 public:
  using Destroy = void (*)(const Context&, T);
  Owned() = default;
  Owned(std::shared_ptr<const Context> context, T handle, Destroy destroy)
      : context_(std::move(context)), handle_(handle), destroy_(destroy) {}
  Owned(Owned&& other) noexcept
      : context_(std::move(other.context_)),
        handle_(std::exchange(other.handle_, T{})),
        destroy_(other.destroy_) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(handle_, other.handle_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~Owned() {
    if (handle_ != T{}) destroy_(*context_, handle_);
  }
  T get() const { return handle_; }
  const Context& context() const { return *context_; }

 private:
  std::shared_ptr<const Context> context_;
  T handle_{};
  Destroy destroy_ = nullptr;
};

// Memory of the device. Giving it back waits for the device to be done with all its work.
class DeviceMemory {
 public:
  std::uint64_t address() const { return owned_.get(); }
  std::size_t size() const { return size_; }

 private:
  friend class Context;
  DeviceMemory(Owned<std::uint64_t> owned, std::size_t size)
      : owned_(std::move(owned)), size_(size) {}
  Owned<std::uint64_t> owned_;
  std::size_t size_ = 0;
};

// Page-locked host memory that the device reaches, too.
class PinnedMemory {
 public:
  void* data() const { return owned_.get(); }
  std::uint64_t address() const { return address_; }  // as the device sees it
  std::size_t size() const { return size_; }

 private:
  friend class Context;
  PinnedMemory(Owned<void*> owned, std::uint64_t address, std::size_t size)
      : owned_(std::move(owned)), address_(address), size_(size) {}
  Owned<void*> owned_;
  std::uint64_t address_ = 0;
  std::size_t size_ = 0;
};

// A mark in a stream.
class Event {
 public:
  void* handle() const { return owned_.get(); }
  Result<bool> passed() const;  // true also when it was never recorded
  // Seconds from one to the other, both passed and made with timing.
  static Result<double> secondsBetween(const Event& from, const Event& to);

 private:
  friend class Context;
  explicit Event(Owned<void*> owned) : owned_(std::move(owned)) {}
  Owned<void*> owned_;
};

// A function of a module; belongs to it.
class Kernel {
 private:
  friend class Module;
  friend class Stream;
  explicit Kernel(void* handle) : handle_(handle) {}
  void* handle_;
};

class Module {
 public:
  Result<Kernel> kernel(const std::string& name) const;

 private:
  friend class Context;
  explicit Module(Owned<void*> owned) : owned_(std::move(owned)) {}
  Owned<void*> owned_;
};

// Work in order; different streams run beside each other.
class Stream {
 public:
  void* handle() const { return owned_.get(); }
  Result<void> copyToDevice(std::uint64_t to, std::span<const std::byte> from) const;
  Result<void> copyToHost(std::span<std::byte> to, std::uint64_t from) const;
  Result<void> copyOnDevice(std::uint64_t to, std::uint64_t from, std::size_t bytes) const;
  Result<void> setBytes(std::uint64_t to, std::uint8_t value, std::size_t bytes) const;
  // `arguments`: addresses of the kernel's arguments, read before this returns.
  Result<void> launch(const Kernel& kernel, unsigned blocks, unsigned threads,
                      std::span<void*> arguments) const;
  Result<void> record(const Event& event) const;
  // What is given to it from now on begins when `event`, as it was last recorded, has passed.
  Result<void> follow(const Event& event) const;
  Result<bool> idle() const;  // all work is done
  // Polls: spins a little, then sleeps. kDeadlineExceeded leaves the work running.
  Result<void> wait(Deadline deadline) const;

 private:
  friend class Context;
  explicit Stream(Owned<void*> owned) : owned_(std::move(owned)) {}
  Owned<void*> owned_;
};

struct MemoryRoom {  // bytes
  std::uint64_t freeBytes = 0;
  std::uint64_t totalBytes = 0;
};

class Context : public std::enable_shared_from_this<Context> {
 public:
  static Result<std::shared_ptr<const Context>> retain(std::shared_ptr<const Driver> driver,
                                                       DeviceFacts facts);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const DeviceFacts& facts() const { return facts_; }
  const Driver& driver() const { return *driver_; }  // for src/gpu/cuda

  Result<MemoryRoom> room() const;
  // kExhausted says how much was free.
  Result<DeviceMemory> allocate(std::size_t bytes) const;
  Result<PinnedMemory> allocatePinned(std::size_t bytes) const;
  Result<Stream> createStream() const;
  Result<Event> createEvent(bool timing) const;
  // The same two for a stream of somebody else's (CUstream; null: the device's default stream).
  Result<void> recordOn(void* stream, const Event& event) const;
  Result<void> letFollow(void* stream, const Event& event) const;
  // PTX text; the driver compiles it for this device. Its complaints are in the error.
  Result<Module> load(const std::string& ptx) const;

  // A descriptor that a NIC's driver imports: `bytes` from `address`, both multiples of the host's
  // page. kUnsupported where device or driver cannot.
  Result<os::UniqueFd> exportDmabuf(std::uint64_t address, std::size_t bytes) const;
  // To be asked for before a NIC is given memory by its address (nvidia-peermem): from then on
  // copies to it end in order with the NIC's.
  Result<void> orderWithRemoteAccess(std::uint64_t address) const;
  // Makes what a NIC has written so far visible to work started from now on. kUnsupported on an
  // older driver; not needed where DeviceFacts::gpuDirectWritesOrdering is 100 or more.
  Result<void> flushRemoteWrites() const;

  // Makes this device the thread's current one, for libraries that look at it (NCCL).
  class Current {
   public:
    explicit Current(const Context& context);
    ~Current();
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    const Result<void>& result() const { return result_; }

   private:
    const Context& context_;
    Result<void> result_;
  };

 private:
  Context(std::shared_ptr<const Driver> driver, DeviceFacts facts)
      : driver_(std::move(driver)), facts_(std::move(facts)) {}

  std::shared_ptr<const Driver> driver_;
  DeviceFacts facts_;
  int device_ = 0;
  void* handle_ = nullptr;
};

}  // namespace railhead::gpu::cuda

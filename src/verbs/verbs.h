// The seam onto RDMA. Production: SystemVerbs (libibverbs); tests: tests/support/fake_verbs.h; both
// pass src/verbs/verbs_contract_test.cc.
//
// Ownership: every object keeps what it was made from alive, so they may be destroyed in any order;
// memory given to registerMemory stays the caller's and must outlive its region. Threads: one
// Verbs may be used by several threads; a context and everything made from it by one at a time.
#pragma once

#include "src/base/result.h"
#include "src/verbs/types.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace railhead::verbs {

// Memory the device may read, and a peer that knows remoteKey may read and write.
class MemoryRegion {
 public:
  virtual ~MemoryRegion() = default;
  // As this process sees it; empty for memory of another device, which it cannot touch.
  virtual std::span<std::byte> bytes() const = 0;
  virtual std::uint64_t address() const = 0;  // what a peer names its first byte by
  virtual std::size_t size() const = 0;
  virtual std::uint32_t localKey() const = 0;
  virtual std::uint32_t remoteKey() const = 0;
};

// Memory of another device (a GPU), by the address that device knows it by.
struct DeviceSpan {
  std::uint64_t address = 0;
  std::size_t size = 0;
};

class CompletionQueue {
 public:
  virtual ~CompletionQueue() = default;
  // Takes up to out.size() completions without waiting; returns how many.
  virtual Result<std::size_t> poll(std::span<Completion> out) = 0;
  // After arm(), eventFd() becomes readable at the next completion. One that came before arm()
  // does not count: arm, poll once more, then wait. clearEvents() before the next arm().
  virtual Result<void> arm() = 0;
  virtual int eventFd() const = 0;
  virtual Result<void> clearEvents() = 0;
};

// Where in a region. length 0 is allowed (a message without payload).
struct LocalSlice {
  const MemoryRegion* region = nullptr;
  std::size_t offset = 0;
  std::size_t length = 0;
};

struct WriteRequest {
  std::uint64_t id = 0;
  LocalSlice source;
  std::uint64_t remoteAddress = 0;
  std::uint32_t remoteKey = 0;
  // When set the peer also gets a receive completion, after all earlier bytes are in its memory.
  std::optional<std::uint32_t> immediate;
};

struct ReadRequest {
  std::uint64_t id = 0;
  LocalSlice target;
  std::uint64_t remoteAddress = 0;
  std::uint32_t remoteKey = 0;
};

// A reliable connection (RC). Every send-side request produces one completion.
class QueuePair {
 public:
  virtual ~QueuePair() = default;
  virtual std::uint32_t number() const = 0;
  // INIT -> RTR -> RTS. Both ends must have done it before either posts a write.
  virtual Result<void> connect(const QueuePairPath& path) = 0;
  // kExhausted when the queue is full.
  virtual Result<void> postWrite(const WriteRequest& request) = 0;
  // The peer's bytes are in `target` when the request completes. Not more than
  // QueuePairPath::readsInFlight are on the wire at a time; further ones wait in the queue.
  virtual Result<void> postRead(const ReadRequest& request) = 0;
  // Goes into the peer's oldest posted receive; with rnrRetryCount 7 it waits until there is one.
  virtual Result<void> postSend(std::uint64_t id, const LocalSlice& source,
                                std::optional<std::uint32_t> immediate = std::nullopt) = 0;
  virtual Result<void> postReceive(std::uint64_t id, const LocalSlice& target) = 0;
};

// An open device with its protection domain.
class DeviceContext {
 public:
  virtual ~DeviceContext() = default;
  virtual const DeviceInfo& info() const = 0;  // as it was when opened
  // Local write, remote read and write rights. kExhausted names the memlock limit and what lifts
  // it.
  virtual Result<std::unique_ptr<MemoryRegion>> registerMemory(std::span<std::byte> memory) = 0;
  // Device memory that its driver exported as a dma-buf: `memory` begins `offset` bytes into it.
  // The region keeps what it needs of `fd`. kUnsupported: library, kernel or NIC driver cannot.
  virtual Result<std::unique_ptr<MemoryRegion>> registerDmabuf(int fd, std::uint64_t offset,
                                                               const DeviceSpan& memory) = 0;
  // Device memory by its address alone, which a kernel module of its driver translates
  // (nvidia-peermem). kUnsupported when there is none.
  virtual Result<std::unique_ptr<MemoryRegion>> registerDevicePointer(const DeviceSpan& memory) = 0;
  virtual Result<std::unique_ptr<CompletionQueue>> createCompletionQueue(int depth) = 0;
  // Sends and receives complete on `queue`, which must be of this context.
  virtual Result<std::unique_ptr<QueuePair>> createQueuePair(CompletionQueue& queue,
                                                             const QueuePairSize& size) = 0;
};

class Verbs {
 public:
  virtual ~Verbs() = default;
  // Every device this process can see, by name; empty when there is none. In the kernel's shared
  // mode that includes devices whose netdev is in another network namespace (see GidEntry::local).
  virtual Result<std::vector<DeviceInfo>> listDevices() = 0;
  virtual Result<std::unique_ptr<DeviceContext>> open(const std::string& device) = 0;
};

}  // namespace railhead::verbs

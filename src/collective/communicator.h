// The seam onto collective communication: one rank's end of a world of ranks that move data
// together, and the memory it moves. Backends: src/collective/host (Gloo over verbs or TCP) and
// src/collective/nccl (GPU). Tests run one body over both (collective_contract).
//
// A Communicator is used by one thread at a time, except abort(), which may come from any.
#pragma once

#include "src/base/result.h"
#include "src/collective/call.h"
#include "src/collective/pattern.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::collective {

using Deadline = std::chrono::steady_clock::time_point;

// What is wrong in a checked buffer.
struct DataCheck {
  std::uint64_t bytesChecked = 0;
  std::uint64_t elementsWrong = 0;
  std::uint64_t firstWrong = 0;  // byte offset of the first wrong element; only when some are wrong
};

// Where the backend's data lives.
enum class MemoryKind { kHost, kHostPinned, kDevice };
std::string_view memoryKindName(MemoryKind kind);  // "device"

// A span of such memory; freed on destruction.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* data() const = 0;
  virtual std::size_t size() const = 0;
};

// Fills and checks where the data lies (on the device for device memory). Ends when it is done.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual MemoryKind kind() const = 0;
  // kExhausted when it does not fit beside what is in use.
  virtual Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) = 0;
  // Free and whole memory.
  struct Room {
    std::uint64_t freeBytes = 0;
    std::uint64_t totalBytes = 0;
    bool ofNode = false;  // what the node itself lives in: the host's, or unified memory
    std::string device;   // whose memory it is, "GPU-..."; empty: the node's
  };
  virtual Result<Room> room() = 0;
  virtual Result<void> fill(Buffer& buffer, const std::vector<Expectation>& parts) = 0;
  // Every byte 0x5a: what nobody wrote cannot look right.
  virtual Result<void> spoil(Buffer& buffer) = 0;
  virtual Result<DataCheck> check(const Buffer& buffer, const std::vector<Expectation>& parts) = 0;
};

// For reports: "backend nccl 2.28.3, /usr/lib/.../libnccl.so.2".
struct BackendDescription {
  std::string name;                     // "nccl", "host"
  std::string version;                  // of the library
  std::string library;                  // the file that was really loaded; "" when linked
  std::string device;                   // "NVIDIA H200", "mlx5_0", "tcp lo"
  std::vector<std::string> transports;  // what it was told to use: "verbs rxe0 10.100.0.1"
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int ranks() const = 0;
  virtual BackendDescription describe() const = 0;
  virtual Memory& memory() = 0;
  // Whether this backend has the call at all; the text says why not.
  virtual Result<void> supports(const Call& call) const = 0;
  // Starts the call: at least call.count (or its part, shapeOf) elements at both places, which must
  // stay until wait() or abort() has returned. Every rank calls the same in the same order.
  virtual Result<void> enqueue(const Call& call, const void* send, void* receive) = 0;
  // Until everything enqueued is done. After kDeadlineExceeded, or kUnavailable (a dead peer), only
  // abort() and destruction are allowed.
  virtual Result<void> wait(Deadline deadline) = 0;
  // Instead of wait(): ends what was enqueued. Only destruction is allowed then.
  virtual void abort() = 0;
};

}  // namespace railhead::collective

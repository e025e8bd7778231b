// One rank's end of an NCCL communicator: joining with a deadline, the calls, errors of peers,
// leaving, aborting.
//
// NCCL knows two kinds of communicators. One that does not block can be given up while its ranks
// still join, but starts a thread for every call, which costs small calls dearly. One that blocks
// starts calls directly, but joining it cannot be ended from outside. Hence (Launch::kDirect): a
// first one is joined without blocking, and a blocking one split off it, which then carries the
// calls. A call of it may block while a peer is missing: abort() from another thread ends that.
//
// Used by one thread at a time, with the device current (gpu::cuda::Context::Current); abort() from
// any.
#pragma once

#include "src/base/result.h"
#include "src/nccl/library.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>

namespace railhead::nccl {

using Deadline = std::chrono::steady_clock::time_point;

enum class DataType : int {  // as NCCL numbers them
  kInt8 = 0,
  kUint8 = 1,
  kInt32 = 2,
  kInt64 = 4,
  kFloat16 = 6,
  kFloat32 = 7,
  kFloat64 = 8,
  kBfloat16 = 9,
};

enum class Launch { kDirect, kByThread };

struct Place {
  int rank = 0;
  int ranks = 1;
};

class Comm {
 public:
  // Ends when every rank has joined, at the deadline, or when `stop` is set (kUnavailable).
  static Result<std::unique_ptr<Comm>> join(std::shared_ptr<const Library> library,
                                            const UniqueId& id, Place place, Launch launch,
                                            Deadline deadline, const std::atomic<bool>& stop);
  ~Comm();  // aborts what has not been left
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  // Each puts one call on `stream` (CUstream); buffers and counts as NCCL's documentation has them.
  Result<void> allReduce(const void* send, void* receive, std::size_t count, DataType type,
                         void* stream);
  Result<void> allGather(const void* send, void* receive, std::size_t sendCount, DataType type,
                         void* stream);
  Result<void> reduceScatter(const void* send, void* receive, std::size_t receiveCount,
                             DataType type, void* stream);
  Result<void> broadcast(const void* send, void* receive, std::size_t count, DataType type,
                         int root, void* stream);
  Result<void> reduce(const void* send, void* receive, std::size_t count, DataType type, int root,
                      void* stream);
  // `count` elements to and from each rank, at rank * count * elementBytes.
  Result<void> allToAll(const std::byte* send, std::byte* receive, std::size_t count,
                        std::size_t elementBytes, DataType type, void* stream);
  Result<void> sendReceive(const void* send, int to, void* receive, int from, std::size_t count,
                           DataType type, void* stream);

  // Until NCCL has put the last call on its stream; a direct one has at once.
  Result<void> settle(Deadline deadline, const std::atomic<bool>& stop);
  // What NCCL found out since: kUnavailable for a peer or network that is gone.
  Result<void> health() const;

  // Says farewell and gives everything back. May block, as a call may.
  Result<void> leave(Deadline deadline);
  // Ends what runs, and gives everything back. After leave() there is nothing to end.
  void abort();

 private:
  class Handle;
  Comm(std::shared_ptr<const Library> library, Place place);
  Result<void> took(int code, const char* what);
  template <typename Body>
  Result<void> grouped(const char* what, Body body);

  std::shared_ptr<const Library> library_;
  Place place_;
  std::unique_ptr<Handle> first_;   // joined without blocking
  std::unique_ptr<Handle> direct_;  // split off it; null for Launch::kByThread
  Handle* active_ = nullptr;
};

}  // namespace railhead::nccl

// The GPU backend: NCCL on one device for each rank. Nothing that a peer does or leaves undone
// makes a call here last beyond its deadline: waiting ends with it, and a guard ends calls that
// block inside NCCL.
#pragma once

#include "src/collective/communicator.h"
#include "src/collective/nccl/call_guard.h"
#include "src/collective/nccl/cuda_memory.h"
#include "src/gpu/cuda/context.h"
#include "src/nccl/comm.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::collective {

// Gives this rank's text to all ranks and returns everybody's, in order (Group::gather).
using Gather = std::function<Result<std::vector<std::string>>(const std::string& own)>;

struct NcclSettings {
  // Tried in this order. Open both before other threads run: NCCL reads its environment then.
  std::vector<std::string> cudaLibraries{"libcuda.so.1"};
  std::vector<std::string> ncclLibraries{"libnccl.so.2"};
  std::string device;  // ordinal, or UUID; empty: by localRank, round and round
  int localRank = 0;   // of this node's ranks
  CudaMemorySettings memory;
  nccl::Launch launch = nccl::Launch::kDirect;
  // How long a call may block inside NCCL (the first one of each kind connects ranks), and how long
  // leaving may take.
  std::chrono::milliseconds callPatience{60'000};
  std::chrono::milliseconds leavePatience{10'000};
};

// Why this machine cannot hold a rank of this backend, in one line; empty when it can. Loads the
// libraries and opens no device: for a gang that takes what all of its ranks have.
std::string ncclHindrance(const NcclSettings& settings);

class NcclCommunicator final : public Communicator {
 public:
  // Collective: all ranks call it, and all learn when one of them cannot: kEnvironment (no driver,
  // no device, no NCCL, too old), kCheckFailed (ranks with different versions of NCCL).
  static Result<std::unique_ptr<NcclCommunicator>> connect(int rank, int ranks,
                                                           const NcclSettings& settings,
                                                           const Gather& gather, Deadline deadline);
  ~NcclCommunicator() override;  // leaves, when nothing went wrong

  int rank() const override { return rank_; }
  int ranks() const override { return ranks_; }
  BackendDescription describe() const override;
  Memory& memory() override { return *memory_; }
  Result<void> supports(const Call& call) const override;
  Result<void> enqueue(const Call& call, const void* send, void* receive) override;
  Result<void> wait(Deadline deadline) override;
  void abort() override;

  // Orders its calls with work of others on this device: calls from now on begin when `event` has
  // passed; `event` will pass when all calls so far are done.
  Result<void> follow(const gpu::cuda::Event& event);
  Result<void> mark(const gpu::cuda::Event& event);

  const gpu::cuda::DeviceFacts& device() const { return context_->facts(); }
  const gpu::cuda::Context& context() const { return *context_; }

 private:
  NcclCommunicator(int rank, int ranks, NcclSettings settings,
                   std::shared_ptr<const gpu::cuda::Context> context,
                   std::unique_ptr<CudaMemory> memory, gpu::cuda::Stream stream,
                   std::shared_ptr<const nccl::Library> library);
  Result<void> start(const Call& call, const CallShape& shape, const void* send, void* receive);
  Result<void> poll(Deadline deadline);
  Result<void> broken() const;
  Error breakWith(Error error);

  int rank_;
  int ranks_;
  NcclSettings settings_;
  std::shared_ptr<const gpu::cuda::Context> context_;
  std::unique_ptr<CudaMemory> memory_;
  gpu::cuda::Stream stream_;
  std::shared_ptr<const nccl::Library> library_;
  std::unique_ptr<nccl::Comm> comm_;

  std::timed_mutex inUse_;         // held by the one thread that calls
  std::atomic<bool> stop_{false};  // abort() was called: whoever waits gives up
  std::optional<Error> failure_;   // why it was given up; guarded by inUse_
  std::unique_ptr<CallGuard> guard_;
};

}  // namespace railhead::collective

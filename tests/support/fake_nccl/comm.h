// One fake communicator: its state, and the work of its calls on the stream.
#pragma once

#include "src/nccl/nccl_abi.h"
#include "tests/support/fake_nccl/faults.h"
#include "tests/support/fake_nccl/mesh.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace railhead::testing_support {

namespace abi = nccl::abi;

// What one call moves, and what is done with it afterwards.
struct Work {
  std::vector<Transfer> transfers;
  // Sums: each peer's contribution arrives in one of `parts`; they are added in rank order into
  // `result`, where this is not null. Else everything arrives where it belongs.
  std::vector<std::vector<std::byte>> parts;
  std::byte* result = nullptr;
  abi::DataType type = 0;
  std::size_t count = 0;
  std::byte* corruptible = nullptr;  // where received bytes end up
};

class FakeComm : public std::enable_shared_from_this<FakeComm> {
 public:
  FakeComm(int rank, int ranks, bool blocking);
  ~FakeComm();

  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  // Joins on a thread of its own, or before it returns when this communicator blocks.
  abi::Return join(const std::string& id, int device);
  // Another one over the same sockets.
  std::shared_ptr<FakeComm> split(bool blocking);

  abi::Return state();                         // as ncclCommGetAsyncError answers
  abi::Return ready() const;                   // whether a call is taken now
  abi::Return start(Work work, void* stream);  // one call, or one group
  // In progress for a while, when this communicator does not block.
  abi::Return accepted();
  void abort();  // returns when no work of it runs any more

 private:
  void run(Work& work, Fault fault);
  void waitForAbort() const;
  abi::Return connect(const std::string& id, int device);

  int rank_;
  int ranks_;
  bool blocking_;
  std::shared_ptr<Mesh> mesh_ = std::make_shared<Mesh>();
  std::atomic<bool> aborted_{false};
  std::atomic<int> looksInProgress_{0};
  std::atomic<abi::Return> async_{abi::kSuccess};
  std::atomic<int> running_{0};
  std::thread joining_;
};

// NCCL's log, when this process asked for one. `device` in brackets, as NCCL writes it.
void logInfo(int device, const std::string& text);

}  // namespace railhead::testing_support

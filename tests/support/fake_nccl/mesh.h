// The sockets between the ranks of one communicator: each rank has one to every other.
#pragma once

#include "src/nccl/nccl_abi.h"
#include "src/os/unique_fd.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace railhead::testing_support {

namespace abi = nccl::abi;

struct Transfer {
  int peer = 0;
  const std::byte* out = nullptr;
  std::size_t outBytes = 0;
  std::byte* in = nullptr;
  std::size_t inBytes = 0;
};

// Used by one thread at a time, except close().
class Mesh {
 public:
  // Waits for every rank of `id`. kInvalidUsage: two ranks on one device of one host; kRemoteError:
  // `stop` was set.
  abi::Return connect(const std::string& id, int rank, int ranks, const std::string& host,
                      int device, const std::atomic<bool>& stop);
  // All transfers at once, in order for each peer. kRemoteError: a peer is gone; kInternalError: it
  // made another call, or `stop` was set.
  abi::Return exchange(const std::vector<Transfer>& transfers, const std::atomic<bool>& stop);
  // The others see this rank as gone.
  void close();

 private:
  abi::Return meet(const std::string& id, const std::atomic<bool>& stop);
  abi::Return greet(const std::string& host, int device, const std::atomic<bool>& stop);

  int rank_ = 0;
  int ranks_ = 1;
  std::vector<os::UniqueFd> peers_;  // by rank; none at our own
};

}  // namespace railhead::testing_support

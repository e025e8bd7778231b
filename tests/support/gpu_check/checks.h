// What gpu-check does on a real GPU; each check returns what it saw as JSON and fails with an Error
// when something is not as it must be.
#pragma once

#include "src/base/result.h"
#include "src/nccl/comm.h"

#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

namespace railhead::testing_support {

using Json = nlohmann::ordered_json;

// The devices as CUDA tells them, and what it says to a request for a dma-buf.
Result<Json> checkFacts(const std::string& cudaLibrary);

// Every element type by every kernel against the host's pattern, planted faults, and how fast
// `bytes` are filled and checked.
Result<Json> checkKernels(const std::string& cudaLibrary, std::size_t bytes);

struct RankOptions {
  std::string cudaLibrary;
  std::string ncclLibrary;
  std::string device;
  std::string meeting;  // an empty folder that all ranks see
  int rank = 0;
  int ranks = 1;
  nccl::Launch launch = nccl::Launch::kDirect;
  std::string log;                   // NCCL's; empty: none
  std::size_t largest = 64UL << 20;  // bytes of a call; at least 1 MiB
};

// As one rank: every collective with every type, checked on the device, and times of all_reduce.
Result<Json> checkCollectives(const RankOptions& options);
// As one rank: what the others see when the last rank dies in the middle of a call, or (`dies`
// false) does not make it.
Result<Json> checkFault(const RankOptions& options, bool dies);

}  // namespace railhead::testing_support

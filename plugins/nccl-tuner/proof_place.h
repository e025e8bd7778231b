// Where the ranks of a job meet to prove that they have one table: from the environment that
// torchrun, Kubernetes' training operators and Railhead's launcher give each rank.
#pragma once

#include "plugins/nccl-tuner/remark.h"

#include <cstdint>

namespace railhead::nccl_tuner {

inline constexpr std::uint32_t kMaxWorld = 4096;  // each rank holds a descriptor of rank 0

struct ProofPlace {
  std::uint32_t rank = 0;
  std::uint32_t world = 0;     // 2 to kMaxWorld
  const char* host = nullptr;  // of rank 0; the environment's own text
  std::uint16_t port = 0;
  std::uint16_t masterPort = 0;  // 0: not set
  std::uint32_t seconds = 10;    // for the whole proof, 1 to 600
};

// False, with the variable that is missing or wrong. Reads the environment.
bool readProofPlace(ProofPlace& place, Remark& why);

// MASTER_PORT's neighbour: 17 above it, wrapped around within 1024–65535.
std::uint16_t portBeside(std::uint16_t master);

}  // namespace railhead::nccl_tuner

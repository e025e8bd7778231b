// Which rank this process is, of how many, and where they meet: what torchrun, srun, Kubeflow and
// our own launchers put into a rank's environment.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace railhead::collective {

// Ranks of one gang: bounds what a hub keeps and what a peer may claim.
inline constexpr int kMaxRanks = 4096;

struct World {
  int rank = 0;
  int ranks = 1;
  int localRank = 0;                        // of this node's ranks: which GPU is mine
  std::string masterAddress = "127.0.0.1";  // rank 0's host name or address
  std::uint16_t masterPort = 0;
  std::string token;  // keeps gangs apart; travels in the clear
  std::string node;   // for messages; the host's name where nobody said otherwise
};

// Reads a variable; nullopt when it is not set.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;
EnvironmentLookup processEnvironment();

// Whether somebody started this process as a rank: RANK and WORLD_SIZE are set.
bool isRank(const EnvironmentLookup& environment);

// RANK, WORLD_SIZE, LOCAL_RANK (0), MASTER_ADDR, MASTER_PORT, RAILHEAD_TOKEN (empty), RAILHEAD_NODE
// (host name). Where RANK is missing, Kubernetes' JOB_COMPLETION_INDEX and Slurm's SLURM_PROCID
// serve. kInvalidArgument names the variable, its value and what is allowed.
Result<World> worldFrom(const EnvironmentLookup& environment);

}  // namespace railhead::collective

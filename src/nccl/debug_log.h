// NCCL's own log, one file for each rank. NCCL reads its environment once, at its first call: set
// these in the environment of a rank's process before it starts, or with applyDebugLog as the first
// thing it does.
#pragma once

#include "src/base/result.h"

#include <map>
#include <string>

namespace railhead::nccl {

struct DebugLog {
  std::string file;  // of this rank alone; NCCL replaces %h by the host's name, %p by the process
  // Enough for the verdict: which network, which channels, which algorithm.
  std::string subsystems = "INIT,BOOTSTRAP,ENV,NET,GRAPH,TUNING";
};

// NCCL_DEBUG, NCCL_DEBUG_FILE and NCCL_DEBUG_SUBSYS.
std::map<std::string, std::string> debugLogEnvironment(const DebugLog& log);

// Puts them into this process' environment, over what stands there. Only while it has one thread.
Result<void> applyDebugLog(const DebugLog& log);

}  // namespace railhead::nccl

// NCCL's own log, one file for each rank. NCCL reads its environment once, at its first call: set
// these in the environment of a rank's process before it starts, or with applyDebugLog as the first
// thing it does.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstddef>
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

// What NCCL writes of this process, kept in its memory: no file to name, to fill a disk with or to
// leave behind. Its log and its picture of the node (NCCL_TOPO_DUMP_FILE).
class CapturedLog {
 public:
  // As applyDebugLog, before NCCL's first call; `rank` is this process' rank of the communicator.
  // `proc`: where procfs is, by whose names NCCL opens the memory.
  static Result<CapturedLog> begin(int rank, const std::string& proc);
  // What was written so far, the earliest `most` bytes.
  Result<std::string> log(std::size_t most) const;
  Result<std::string> topology(std::size_t most) const;  // empty: NCCL wrote none

 private:
  CapturedLog(os::UniqueFd log, os::UniqueFd topology)
      : log_(std::move(log)), topology_(std::move(topology)) {}
  os::UniqueFd log_, topology_;
};

}  // namespace railhead::nccl

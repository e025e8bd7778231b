// Starts a keeper process and follows it until its lab is up.
#pragma once

#include "lab/client/lab_client.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <sys/types.h>

namespace railhead::lab {

struct RunningKeeper {
  os::UniqueFd lifeline;  // its end takes a bound lab down
  pid_t pid = -1;
};

// Finds out what the machine lacks before anything is started.
Result<void> checkMachine(const Topology& topology, const LabOptions& options);

// Returns when the lab is up. On an error, cancelling included, nothing is left running.
Result<RunningKeeper> startKeeper(const Topology& topology, const LabOptions& options, bool bound,
                                  const BootProgress& progress);

// Waits for a keeper that is about to end, and kills one that does not; its nodes go with it.
void reapKeeper(pid_t keeper, std::chrono::milliseconds deadline);
// True when the process behind a pidfd has ended before the deadline.
bool awaitEnd(int pidFd, std::chrono::milliseconds deadline);

}  // namespace railhead::lab

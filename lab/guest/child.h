// Starts one program with its three standard streams on pipes. Linux only; no shell.
#pragma once

#include "lab/protocol/messages.h"
#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <sys/types.h>

namespace railhead::lab {

// A started program. It leads a session and process group of its own, whose id is `pid`. The ends
// held here do not block.
struct Child {
  pid_t pid = -1;
  os::UniqueFd standardInput;   // to write
  os::UniqueFd standardOutput;  // to read
  os::UniqueFd standardError;   // to read
};

// Signals are at their defaults and unblocked in the child; only its standard streams are open.
// Failure (no such program, no such folder, out of memory) names the program.
Result<Child> startChild(const ExecRequest& request);

}  // namespace railhead::lab

// A command of others' making run so that nothing of it stays: whatever it started, and however it
// ends; but for what the kernel holds fast, which is waited for for twenty seconds. The calling
// process becomes its guard, and should do nothing else.
//
// Its descendants stay findable because orphans come to the guard (PR_SET_CHILD_SUBREAPER), also
// those that left its session. What the guard cannot do is outlive its own SIGKILL: then the kernel
// kills the command, and whoever started the guard its session.
#pragma once

#include "src/base/result.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace railhead::launch {

struct GuardedCommand {
  std::vector<std::string> argv;
  std::string folder;  // it runs there; empty: here
  // Between SIGTERM and SIGKILL when it is stopped, for it and all that it started: what it leaves
  // is told when it has ended. Where it ends by itself, what it leaves is killed.
  std::chrono::milliseconds grace{3000};
  bool untilInputEnds = false;  // it is stopped when this process' standard input ends
};

// Runs it to its end; its output goes where this process' standard error goes. SIGTERM, SIGINT and
// SIGHUP stop it. Its exit code, or 128 + signal. kNotFound: no such program or folder. `proc` is
// /proc, `nullDevice` /dev/null.
Result<int> runGuarded(const GuardedCommand& command, const std::string& proc,
                       const std::string& nullDevice);

}  // namespace railhead::launch

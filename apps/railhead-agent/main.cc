#include "apps/railhead-agent/command_line.h"
#include "apps/railhead-agent/stop_signals.h"
#include "apps/usage/command_line.h"

#include <csignal>

#include <malloc.h>

namespace {

// A daemon of 25 threads, most of them asleep, on a machine that is somebody else's: few arenas,
// and what a scrape took goes back (bench/agent_cost: 12.4 instead of 13.8 MiB after scrapes).
void saveMemory() {
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, 64 * 1024);
  ::mallopt(M_TRIM_THRESHOLD, 64 * 1024);
}

}  // namespace

// Signals are blocked before any thread starts, so that `run` alone takes them.
int main(int argc, char** argv) {
  saveMemory();
  // Errors of a call, not the end of the process: nobody reads, a file may not grow.
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  railhead::agent_app::blockStopSignals();
  const auto code = railhead::agent_app::runCommandLine({argv, argv + argc});
  return railhead::usage::finishOutput("railhead-agent", static_cast<int>(code));
}

#include "apps/railhead-train/command_line.h"
#include "apps/usage/command_line.h"

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace {

// Set by a handler, not read from a descriptor as other programs of ours do: libraries of
// LibTorch's have threads before main() begins, which take signals that this thread blocks.
std::atomic<int> stopSignal{0};
static_assert(std::atomic<int>::is_always_lock_free);

// The second time it ends at once: a step of a large model may take long.
void askToStop(int signal) {
  if (stopSignal.exchange(signal) != 0) std::_Exit(128 + signal);
}

}  // namespace

// A step that runs is finished before the process stops.
int main(int argc, char** argv) {
  struct sigaction action {};
  action.sa_handler = askToStop;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
  // Errors of a call, not the end of the process: nobody reads, a file may not grow.
  for (const int signal : {SIGPIPE, SIGXFSZ}) std::signal(signal, SIG_IGN);
  // cuBLAS reads it once: with a workspace of one size the same call takes the same way.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  const int code = railhead::trainer_app::runCommandLine({argv, argv + argc},
                                                         railhead::collective::processEnvironment(),
                                                         [] { return stopSignal.load(); });
  // After a failure threads may wait for peers that are gone (run.cc): they end with the process.
  // After success LibTorch 2.11 for CUDA frees what it must not when the process tears down
  // ("free(): invalid pointer", docs/measurements/trainer-two-h200.json): nothing of ours is left
  // to be done there.
  std::_Exit(railhead::usage::finishOutput("railhead-train", code));
}

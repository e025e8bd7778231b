#include "apps/railhead-train/command_line.h"
#include "apps/usage/signal_fd.h"

#include <csignal>
#include <cstdlib>
#include <iostream>

// Signals are taken from before any thread starts; a step that runs is finished first.
int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // cuBLAS reads it once: with a workspace of one size the same call takes the same way.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  const railhead::usage::SignalFd signals;
  const int code = railhead::trainer_app::runCommandLine({argv, argv + argc},
                                                         railhead::collective::processEnvironment(),
                                                         [&] { return signals.take(); });
  // After a failure threads may wait for peers that are gone (run.cc): they end with the process.
  std::cout << std::flush;
  if (code != 0) std::_Exit(code);
  return 0;
}

#include "apps/railhead-agent/command_line.h"
#include "apps/railhead-agent/commands.h"

#include <csignal>

// Signals are blocked before any thread starts, so that `run` alone takes them.
int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  railhead::agent_app::blockStopSignals();
  return static_cast<int>(railhead::agent_app::runCommandLine({argv, argv + argc}));
}

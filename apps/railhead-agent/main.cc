#include "apps/railhead-agent/commands.h"

#include <csignal>
#include <iostream>

#include <CLI/CLI.hpp>

// Signals are blocked before any thread starts, so that `run` alone takes them.
int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  railhead::agent_app::blockStopSignals();
  CLI::App app{
      "The node daemon of Railhead: provisions VFs, advertises rail sets, attaches pods.\n"
      "Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 a check failed,\n"
      "4 the node lacks something (it is named, with the remedy).",
      "railhead-agent"};
  app.set_version_flag("--version", RAILHEAD_VERSION);
  app.require_subcommand(0, 1);
  railhead::ExitCode code = railhead::ExitCode::kOk;
  railhead::agent_app::addCommands(app, code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    app.exit(error);
    return static_cast<int>(asked ? railhead::ExitCode::kOk : railhead::ExitCode::kUsage);
  }
  if (app.get_subcommands().empty()) {
    std::cerr << "railhead-agent: a command is needed\n\n" << app.help();
    return static_cast<int>(railhead::ExitCode::kUsage);
  }
  return static_cast<int>(code);
}

#include "apps/railhead-agent/command_line.h"

#include "apps/railhead-agent/cni_commands.h"
#include "apps/railhead-agent/commands.h"
#include "apps/railhead-agent/profile_commands.h"
#include "apps/usage/command_line.h"
#include "apps/usage/completion.h"

#include <iostream>

#include <CLI/CLI.hpp>

namespace railhead::agent_app {

ExitCode runCommandLine(const std::vector<std::string>& args) {
  CLI::App app{
      "The node daemon of Railhead: provisions VFs, advertises rail sets, attaches pods.\n"
      "Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 a check failed,\n"
      "4 the node lacks something (it is named, with the remedy).",
      "railhead-agent"};
  app.footer(
      "Examples:\n  railhead-agent check-config --config agent.yaml\n"
      "  railhead-agent run --config /etc/railhead/agent.yaml");
  app.set_version_flag("--version", RAILHEAD_VERSION);
  app.require_subcommand(0, 1);
  ExitCode code = ExitCode::kOk;
  addCommands(app, code);
  addCniCommands(app, code);
  addProfileCommands(app, code);
  usage::addCompletionCommand(app, std::cout);
  return usage::parseCommandLine(app, args, std::cout, std::cerr).value_or(code);
}

}  // namespace railhead::agent_app

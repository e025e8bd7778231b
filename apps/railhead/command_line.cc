#include "apps/railhead/command_line.h"

#include "apps/railhead/commands.h"

#include <ostream>

#include <CLI/CLI.hpp>

namespace railhead::app {

void fail(Context& context, const Error& error) {
  context.err << "railhead: " << error.message << '\n';
  if (!error.remedy.empty()) context.err << "  remedy: " << error.remedy << '\n';
  context.exitCode = exitCodeFor(error.code);
}

ExitCode runCommandLine(const std::vector<std::string>& args, Context& context) {
  CLI::App app{
      "GPU nodes with RDMA, from bare PCIe to a proven run.\n"
      "Exit codes: 0 what was asked holds, 1 failed, 2 bad usage, 3 a check failed,\n"
      "4 the environment lacks something (it is named, with the remedy).",
      "railhead"};
  app.set_version_flag("--version", RAILHEAD_VERSION);
  app.require_subcommand(0, 1);  // none is checked below: CLI11 would not name an unknown word
  addCommands(app, context);
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  if (!reversed.empty()) reversed.pop_back();
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;  // --help, --version
    app.exit(error, context.out, context.err);
    return asked ? ExitCode::kOk : ExitCode::kUsage;
  }
  if (app.get_subcommands().empty()) {
    context.err << "railhead: a command is needed\n\n" << app.help();
    return ExitCode::kUsage;
  }
  return context.exitCode;
}

}  // namespace railhead::app

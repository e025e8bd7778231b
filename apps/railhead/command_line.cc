#include "apps/railhead/command_line.h"

#include "apps/railhead/commands.h"
#include "apps/usage/command_line.h"
#include "src/base/text.h"
#include "src/report/terminal/text_width.h"

#include <ostream>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::app {

namespace {

std::string printableLines(const std::string& text) {
  std::vector<std::string> lines;
  for (const auto line : split(text, '\n')) lines.push_back(report::printable(line));
  return join(lines, "\n");
}

}  // namespace

report::TerminalStyle progressStyle(const Context& context) {
  auto style = report::detectStyle(STDERR_FILENO, report::processEnvironment);
  style.terminal = style.terminal && context.terminal;
  return style;
}

void fail(Context& context, const Error& error) {
  // A rank's last words may be in it, and whatever else came from elsewhere.
  Error shown = error;
  for (std::string* text : {&shown.message, &shown.remedy}) *text = printableLines(*text);
  usage::printError(context.err, "railhead", shown);
  // 128 + a signal: that the command was ended says more.
  if (static_cast<int>(context.exitCode) < 128) context.exitCode = exitCodeFor(error.code);
}

ExitCode runCommandLine(const std::vector<std::string>& args, Context& context) {
  CLI::App app{
      "GPU nodes with RDMA, from bare PCIe to a proven run.\n"
      "Exit codes: 0 what was asked holds, 1 failed, 2 bad usage, 3 a check failed,\n"
      "4 the environment lacks something (it is named, with the remedy).",
      "railhead"};
  app.set_version_flag("--version", RAILHEAD_VERSION);
  app.footer(
      "Examples:\n  railhead demo --out /tmp/d\n"
      "  railhead lab up && railhead lab exec spark-a -- ip -br link");
  app.require_subcommand(0, 1);
  addCommands(app, context);
  const auto answered = usage::parseCommandLine(app, args, context.out, context.err);
  return answered.value_or(context.exitCode);
}

}  // namespace railhead::app

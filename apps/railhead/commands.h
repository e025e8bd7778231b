// Every command of `railhead`, one line each. A command lives in <name>_command.{h,cc}: it adds its
// options to the CLI::App and, when chosen, runs in the option parser's final callback.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addCommands(CLI::App& app, Context& context);

}  // namespace railhead::app

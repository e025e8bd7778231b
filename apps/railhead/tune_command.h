// `railhead tune` and its subcommands show, diff, export and apply.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTuneCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

// `railhead tune show`, `diff`, `export` and `apply`: what is done with a profile.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTuneProfileCommands(CLI::App* tune, Context& context);

}  // namespace railhead::app

// `railhead lab up|status|exec|logs|link|down`: emulated nodes on this machine.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addLabCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

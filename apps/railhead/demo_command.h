// `railhead demo`: the journey on emulated nodes, with a report at its end.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addDemoCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

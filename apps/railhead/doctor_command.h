// `railhead doctor`: what makes a node slower than it could be, or silent.
#pragma once

#include "apps/railhead/command_line.h"

namespace CLI {
class App;
}

namespace railhead::app {

void addDoctorCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

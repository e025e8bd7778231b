// `railhead status`: what the agents of a node, a cluster or a lab say.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addStatusCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

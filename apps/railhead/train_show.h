// `railhead train show`: what a run is and what came of it.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTrainShow(CLI::App* train, Context& context);

}  // namespace railhead::app

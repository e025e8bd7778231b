// `railhead train rank`: the guard of one rank, started by `railhead train run` on the rank's node.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTrainRank(CLI::App* train, Context& context);

}  // namespace railhead::app

// `railhead tune hold`: a pod that waits for ranks to be started in it.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTuneHold(CLI::App* tune, Context& context);

}  // namespace railhead::app

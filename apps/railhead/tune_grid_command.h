// `railhead tune grid`: every setting of a part of the space, measured.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTuneGrid(CLI::App* tune, Context& context);

}  // namespace railhead::app

// `railhead tune rank`: one rank that `railhead tune` starts and tells what to measure.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTuneRank(CLI::App* tune, Context& context);

}  // namespace railhead::app

// `railhead bench collectives` and `railhead bench compare`.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addBenchCollectives(CLI::App* bench, Context& context);
void addBenchCompare(CLI::App* bench, Context& context);

}  // namespace railhead::app

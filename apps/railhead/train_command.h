// `railhead train run|resume|replay|compare|list|logs|stop`: runs that are watched, started again
// and compared.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addTrainCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

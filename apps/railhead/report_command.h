// `railhead report`: measurements as one page.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addReportCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

// `railhead verify`: which path the bytes took between ranks, with the evidence.
#pragma once

#include "apps/railhead/command_line.h"

namespace railhead::app {

void addVerifyCommand(CLI::App& app, Context& context);

}  // namespace railhead::app

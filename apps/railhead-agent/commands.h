// railhead-agent run | discover | provision | check-config | status
#pragma once

#include "src/base/error.h"

namespace CLI {
class App;
}

namespace railhead::agent_app {

void addCommands(CLI::App& app, ExitCode& code);

}  // namespace railhead::agent_app

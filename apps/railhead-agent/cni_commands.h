// The commands about how the container runtime comes to call us: check-cni, uninstall-cni.
#pragma once

#include "src/base/error.h"

namespace CLI {
class App;
}

namespace railhead::agent_app {

// What a command ends with is left in `code`, which outlives the app.
void addCniCommands(CLI::App& app, ExitCode& code);

}  // namespace railhead::agent_app

// The commands about the tuned profile on this node: profile show, rollback, resume.
#pragma once

#include "src/base/error.h"

namespace CLI {
class App;
}

namespace railhead::agent_app {

// What a command ends with is left in `code`, which outlives the app.
void addProfileCommands(CLI::App& app, ExitCode& code);

}  // namespace railhead::agent_app

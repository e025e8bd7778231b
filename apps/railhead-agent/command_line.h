// The node daemon's command line as a unit: main() and the tests call the same function.
#pragma once

#include "src/base/error.h"

#include <string>
#include <vector>

namespace railhead::agent_app {

// args[0] is the program's name. Writes to standard output and standard error.
ExitCode runCommandLine(const std::vector<std::string>& args);

}  // namespace railhead::agent_app

// The trainer's command line as a unit.
#pragma once

#include "src/collective/world.h"

#include <functional>
#include <string>
#include <vector>

namespace railhead::trainer_app {

// args[0] is the program's name. `stopSignal`: the first signal that asked this process to stop, 0
// without one; asked once a step. Writes to standard output and standard error. The exit code: of
// docs/reference/exit-codes.md, or 128 + a signal after a stop.
int runCommandLine(const std::vector<std::string>& args,
                   const collective::EnvironmentLookup& environment,
                   const std::function<int()>& stopSignal);

}  // namespace railhead::trainer_app

// One rank's run, from options to exit code.
#pragma once

#include "apps/railhead-train/options.h"
#include "src/base/result.h"
#include "src/collective/world.h"

#include <functional>

namespace railhead::trainer_app {

// 0, or 128 + a signal when the run was stopped before its end.
Result<int> run(const Options& options, const collective::EnvironmentLookup& environment,
                const std::function<int()>& stopSignal);

}  // namespace railhead::trainer_app

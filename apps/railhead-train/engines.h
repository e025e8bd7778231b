// The engines of this build: LibTorch's, where it was built with it, and the one of plain loops.
#pragma once

#include "apps/railhead-train/options.h"
#include "src/base/result.h"
#include "src/collective/world.h"
#include "src/trainer/engine.h"

#include <memory>
#include <string>

namespace railhead::trainer_app {

// Whether the ranks compute on GPUs. kUnsupported: the options ask for what this build has not.
Result<bool> takesCuda(const Options& options);
// kEnvironment: no such device; kExhausted: it does not fit.
Result<std::unique_ptr<trainer::Engine>> openEngine(const Options& options,
                                                    const trainer::ModelShape& shape,
                                                    const collective::World& world, bool cuda);
// "loops", or "torch": what `--engine` means.
std::string engineName(const Options& options);

// Over LibTorch, or in a build without it not there. One source file for each (CMakeLists.txt).
bool hasTorch();
int torchDevices();  // CUDA's
Result<std::unique_ptr<trainer::Engine>> openTorch(const Options& options,
                                                   const trainer::ModelShape& shape,
                                                   const collective::World& world, bool cuda);

}  // namespace railhead::trainer_app

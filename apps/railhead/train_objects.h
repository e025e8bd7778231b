// A training run as objects of a cluster: what `train run --on kubernetes` makes, and prints with
// --dry-run.
#pragma once

#include "src/base/result.h"
#include "src/launch/kubernetes/job.h"
#include "src/train/run_file.h"

#include <string>

namespace railhead::app {

// `id`: of the run, which names Job, Service and the folder in the claim. kInvalidArgument: the run
// file has no image, or asks for what pods cannot be.
Result<launch::KubernetesJob> trainJob(const train::RunFile& run, const std::string& id);
Result<std::string> trainObjects(const train::RunFile& run, const std::string& id);

}  // namespace railhead::app

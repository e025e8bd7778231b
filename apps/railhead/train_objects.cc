#include "apps/railhead/train_objects.h"

#include "src/launch/kubernetes/job.h"

#include <algorithm>
#include <cmath>

namespace railhead::app {
namespace {

// Kubernetes kills a pod that is to go at once, and a job's seconds are whole ones.
int wholeSeconds(double seconds) { return static_cast<int>(std::ceil(seconds)); }

launch::PodGroup podGroupOf(const std::string& name) {
  if (name == "coscheduling") return launch::PodGroup::kCoscheduling;
  return name == "volcano" ? launch::PodGroup::kVolcano : launch::PodGroup::kNone;
}

// What a trainer is told (docs/reference/trainer-contract.md). Metrics go to standard output: the
// pods' log is what can be read from outside.
void addContract(const train::RunFile& run, const std::string& folder,
                 std::map<std::string, std::string>& environment) {
  environment["LOCAL_WORLD_SIZE"] = "1";
  environment["RAILHEAD_SEED"] = std::to_string(run.seed);
  environment["RAILHEAD_ATTEMPT"] = "1";
  if (run.steps) environment["RAILHEAD_STEPS"] = std::to_string(*run.steps);
  if (folder.empty()) return;
  environment["RAILHEAD_RUN_DIR"] = folder;
  environment["RAILHEAD_CHECKPOINT_DIR"] = folder + "/checkpoints";
}

}  // namespace

Result<launch::KubernetesJob> trainJob(const train::RunFile& run, const std::string& id) {
  if (run.image.empty()) {
    return Error(ErrorCode::kInvalidArgument, run.where("image") + " is missing, and pods need one",
                 "add image: with the name of a container image that holds the command");
  }
  if (run.ranksPerNode != 1) {
    return Error(ErrorCode::kInvalidArgument,
                 run.where("ranksPerNode") + " is " + std::to_string(run.ranksPerNode) +
                     "; allowed in a cluster: 1, for a pod is a rank and each node gets one",
                 "start the node's processes by the command itself, as torchrun does");
  }
  const auto& part = run.kubernetes;
  launch::KubernetesJob job;
  job.name = id;
  job.namespaceName = part.namespaceName;
  job.image = run.image;
  job.ranks = run.ranks;
  job.argv = run.command;
  job.network = part.network;
  job.resources = run.resources;
  job.runtimeClass = part.runtimeClass;
  job.timeLimitSeconds = wholeSeconds(run.deadlines.run);
  job.graceSeconds = std::max(1, wholeSeconds(run.deadlines.stop));
  job.scheduler = part.scheduler;
  job.podGroup = podGroupOf(part.podGroup);
  if (job.podGroup == launch::PodGroup::kVolcano && job.scheduler.empty())
    job.scheduler = "volcano";
  std::string folder;
  if (!part.claim.empty()) {
    folder = part.mountPath + "/" + id;
    job.claim = part.claim;
    job.claimFolder = id;
    job.mountPath = folder;
  }
  job.environment = run.environment;
  addContract(run, folder, job.environment);
  // The run file is right, so what is left to be wrong is the name.
  RAILHEAD_TRY(job.check().addContext("--folder, whose last part names the Job of pods"));
  return job;
}

Result<std::string> trainObjects(const train::RunFile& run, const std::string& id) {
  RAILHEAD_TRY_ASSIGN(const auto job, trainJob(run, id));
  return launch::renderJob(job);
}

}  // namespace railhead::app

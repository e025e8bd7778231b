#include "apps/railhead/train_cluster.h"

#include "apps/railhead/train_objects.h"
#include "src/launch/commands.h"

#include <algorithm>
#include <utility>

namespace railhead::app {
namespace {

// For a cluster to pull the image and start the pods, where the run file has no deadline for it.
constexpr int kPodSeconds = 300;

}  // namespace

Result<std::unique_ptr<TrainCluster>> TrainCluster::open(const launch::Placement& placement,
                                                         const train::RunFile& run,
                                                         const std::string& id,
                                                         const std::string& mark, int interruptFd) {
  RAILHEAD_TRY_ASSIGN(auto job, trainJob(run, id));
  job.run = mark;
  const launch::Kubectl kubectl{"kubectl", placement.context, job.namespaceName, interruptFd};
  // Before the deadline itself: a pod that does not start says why.
  const int start = std::max(1, static_cast<int>(run.deadlines.start * 0.8));
  return std::unique_ptr<TrainCluster>(
      new TrainCluster(kubectl, std::move(job), run.deadlines.start > 0 ? start : kPodSeconds));
}

Result<std::vector<launch::RankCommand>> TrainCluster::start(const train::StartPlan& plan) {
  made_ = made_ || plan.attempt > 1;
  RAILHEAD_TRY(endStart());
  auto job = job_;
  job.environment["RAILHEAD_TOKEN"] = launch::newToken();
  job.environment["RAILHEAD_ATTEMPT"] = std::to_string(plan.attempt);
  if (!plan.resume.empty()) job.environment["RAILHEAD_RESUME"] = plan.resume;
  made_ = true;
  auto created = launch::createJob(runner_, kubectl_, job);
  if (!created.has_value()) {
    Error error = std::move(created).error();
    if (error.code == ErrorCode::kAlreadyExists) {
      error.withRemedy("they are another run's: give this one another name, or delete them with: " +
                       std::string("kubectl delete job,service ") + job.name);
    }
    return error;
  }
  return launch::followCommands(kubectl_, job, waitSeconds_, launch::PodLog::kAsLines);
}

Result<void> TrainCluster::endStart() {
  if (!std::exchange(made_, false)) return {};
  auto gone = launch::deleteRun(runner_, kubectl_, job_);
  if (gone.has_value()) return {};
  return std::move(gone.error())
      .withRemedy(
          "once the cluster answers, railhead train resume takes them away and goes on; or " +
          gone.error().remedy);
}

}  // namespace railhead::app

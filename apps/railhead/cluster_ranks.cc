#include "apps/railhead/cluster_ranks.h"

#include "src/base/text.h"
#include "src/os/clock.h"
#include "src/os/process.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace railhead::app {
namespace {

// What the pods ask for: what was said, else what the backend and its transport need.
Result<void> setNeeds(const RankOptions& options, launch::KubernetesJob& job) {
  const bool rails = options.backend != "host" || options.transport != "tcp";
  const bool gpu = options.backend != "host";
  if (!rails) job.network.clear();
  if (!options.network.empty()) job.network = options.network == "none" ? "" : options.network;
  if (!gpu) job.runtimeClass.clear();
  if (!options.runtimeClass.empty())
    job.runtimeClass = options.runtimeClass == "none" ? "" : options.runtimeClass;
  if (!rails) job.resources.erase("nvidia.com/cx7_qsfp");
  if (!gpu) job.resources.erase("nvidia.com/gpu");
  if (options.resources.empty()) return {};
  job.resources.clear();
  for (const auto& text : options.resources) {
    const auto equals = text.rfind('=');
    if (equals == 0 || equals == std::string::npos || !parseUnsigned(text.substr(equals + 1))) {
      return Error(ErrorCode::kInvalidArgument,
                   "--resource " + inQuotes(text) + ": expected NAME=COUNT, like nvidia.com/gpu=1");
    }
    job.resources[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return {};
}

}  // namespace

Result<launch::KubernetesJob> clusterJob(const RankOptions& options,
                                         const launch::RankProgram& program) {
  if (options.image.empty()) {
    return Error(ErrorCode::kInvalidArgument, "--on kubernetes: no --image says what the pods run",
                 "give the image that ./dev image made, as your registry names it");
  }
  launch::KubernetesJob job;
  job.name = "railhead-" + launch::newToken().substr(0, 8);
  job.namespaceName = options.namespaceName;
  job.image = options.image;
  job.ranks = options.ranks;
  job.argv = program.argv;
  job.environment = program.environment;
  job.environment["RAILHEAD_TOKEN"] = program.token;
  RAILHEAD_TRY(setNeeds(options, job));
  return job;
}

launch::Kubectl kubectlFor(const RankOptions& options, const std::string& context,
                           int interruptFd) {
  return {"kubectl", context, options.namespaceName, interruptFd};
}

Result<std::unique_ptr<ClusterRanks>> ClusterRanks::create(const launch::Kubectl& kubectl,
                                                           const launch::KubernetesJob& job) {
  std::unique_ptr<ClusterRanks> out(new ClusterRanks(kubectl, job.name));
  os::SystemProcessRunner runner;
  RAILHEAD_TRY(launch::createJob(runner, kubectl, job));
  return out;
}

// A failure to delete is not the command's: the Job has a time limit of its own.
ClusterRanks::~ClusterRanks() {
  os::SystemProcessRunner runner;
  (void)launch::deleteJob(runner, kubectl_, job_);
}

Result<launch::KubernetesJob> ClusterPool::jobOf(const RankOptions& options,
                                                 const Settings& settings) {
  launch::RankProgram program;
  program.argv = {"railhead", "tune", "hold"};
  program.token = launch::newToken();
  RAILHEAD_TRY_ASSIGN(auto job, clusterJob(options, program));
  // Each gang has a token and a port of its own.
  job.environment.erase("RAILHEAD_TOKEN");
  job.timeLimitSeconds = static_cast<int>(std::min<std::chrono::seconds::rep>(
      settings.lifetime.count(), std::numeric_limits<int>::max()));
  return job;
}

Result<std::string> ClusterPool::render(const RankOptions& options, const Settings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto job, jobOf(options, settings));
  return launch::renderJob(job);
}

Result<std::unique_ptr<ClusterPool>> ClusterPool::open(const RankOptions& options,
                                                       const std::string& context,
                                                       const Settings& settings) {
  RAILHEAD_TRY_ASSIGN(const auto job, jobOf(options, settings));
  const auto kubectl = kubectlFor(options, context, settings.interruptFd);
  RAILHEAD_TRY_ASSIGN(auto created, ClusterRanks::create(kubectl, job));
  std::unique_ptr<ClusterPool> out(new ClusterPool(kubectl, std::move(created)));
  os::SystemProcessRunner runner;
  os::SystemClock clock;
  launch::PodWait wait;
  wait.stopped = settings.stopped;
  RAILHEAD_TRY_ASSIGN(out->pods_, launch::runningPods(runner, clock, kubectl, job, wait));
  return out;
}

std::vector<launch::RankCommand> ClusterPool::commands(const launch::RankProgram& program) const {
  return launch::execCommands(kubectl_, pods_, program);
}

}  // namespace railhead::app

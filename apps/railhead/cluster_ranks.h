// Ranks in a cluster: the Job of one command, with kubectl; and pods that wait for gangs.
#pragma once

#include "apps/railhead/rank_options.h"
#include "src/base/result.h"
#include "src/launch/commands.h"
#include "src/launch/kubernetes/exec.h"
#include "src/launch/kubernetes/follow.h"
#include "src/launch/kubernetes/job.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace railhead::app {

// `program` by the options' image on as many pods; asks for what was said, else for what the
// backend and its transport need. kInvalidArgument names the option.
Result<launch::KubernetesJob> clusterJob(const RankOptions& options,
                                         const launch::RankProgram& program);
launch::Kubectl kubectlFor(const RankOptions& options, const std::string& context,
                           int interruptFd = -1);

// The objects of one command in a cluster: deleted with this, however it ended.
class ClusterRanks {
 public:
  static Result<std::unique_ptr<ClusterRanks>> create(const launch::Kubectl& kubectl,
                                                      const launch::KubernetesJob& job);
  ~ClusterRanks();
  ClusterRanks(const ClusterRanks&) = delete;
  ClusterRanks& operator=(const ClusterRanks&) = delete;

 private:
  ClusterRanks(launch::Kubectl kubectl, std::string job)
      : kubectl_(std::move(kubectl)), job_(std::move(job)) {}
  launch::Kubectl kubectl_;
  std::string job_;
};

// A Job whose pods do nothing (`railhead tune hold`) until gangs of ranks are started in them.
class ClusterPool {
 public:
  struct Settings {
    std::chrono::seconds lifetime{3600};  // Kubernetes ends the pods then, whoever forgot them
    std::function<bool()> stopped;        // while the pods start; may be empty
    int interruptFd = -1;                 // once readable, no answer is waited for much longer
  };
  // kEnvironment: no kubectl, no cluster, pods that do not start.
  static Result<std::unique_ptr<ClusterPool>> open(const RankOptions& options,
                                                   const std::string& context,
                                                   const Settings& settings);
  // What open() creates, as YAML.
  static Result<std::string> render(const RankOptions& options, const Settings& settings);

  std::vector<launch::RankCommand> commands(const launch::RankProgram& program) const;

 private:
  ClusterPool(launch::Kubectl kubectl, std::unique_ptr<ClusterRanks> job)
      : kubectl_(std::move(kubectl)), job_(std::move(job)) {}
  static Result<launch::KubernetesJob> jobOf(const RankOptions& options, const Settings& settings);

  launch::Kubectl kubectl_;
  std::unique_ptr<ClusterRanks> job_;
  std::vector<std::string> pods_;  // by rank
};

}  // namespace railhead::app

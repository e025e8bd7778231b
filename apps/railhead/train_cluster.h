// The ranks of a training run as pods, by kubectl: made for each start, followed from here, and
// gone before the next.
#pragma once

#include "src/base/result.h"
#include "src/launch/gang.h"
#include "src/launch/kubernetes/follow.h"
#include "src/launch/placement.h"
#include "src/os/process.h"
#include "src/train/gang_run.h"
#include "src/train/run_file.h"

#include <memory>
#include <string>
#include <vector>

namespace railhead::app {

class TrainCluster {
 public:
  // `id`: of the run, and the name of its objects. `mark`: a word that no other run has; the label
  // by which its objects are known where another's have the same names. `interruptFd`: as
  // launch::Kubectl's. kInvalidArgument: the run file asks for what pods cannot be.
  static Result<std::unique_ptr<TrainCluster>> open(const launch::Placement& placement,
                                                    const train::RunFile& run,
                                                    const std::string& id, const std::string& mark,
                                                    int interruptFd);

  // Pods of a watcher that was killed are taken away first. kAlreadyExists: another's objects have
  // the names; kEnvironment: no kubectl, or no cluster behind it.
  Result<std::vector<launch::RankCommand>> start(const train::StartPlan& plan);
  // After each start, however it ended. Its pods are gone when it succeeds, or on their way when
  // interrupted; otherwise the remedy says how they go, and it is not tried again.
  Result<void> endStart();

 private:
  TrainCluster(launch::Kubectl kubectl, launch::KubernetesJob job, int waitSeconds)
      : kubectl_(std::move(kubectl)), job_(std::move(job)), waitSeconds_(waitSeconds) {}

  os::SystemProcessRunner runner_;
  launch::Kubectl kubectl_;
  launch::KubernetesJob job_;
  int waitSeconds_;
  bool made_ = false;  // what endStart() takes away
};

}  // namespace railhead::app

// A Job's ranks followed from here by kubectl: each as a process that shows its pod's log and ends
// with its exit code, so that launch::runGang treats pods as it treats processes.
#pragma once

#include "src/base/result.h"
#include "src/launch/gang.h"
#include "src/launch/kubernetes/job.h"
#include "src/os/process.h"

#include <string>
#include <vector>

namespace railhead::launch {

struct Kubectl {
  std::string program = "kubectl";
  std::string context;  // empty: its own
  std::string namespaceName = "default";
  // Once readable (a signalfd) nobody waits for the cluster: a call has five seconds, as some that
  // the ranks' shells make when they are stopped. -1: none.
  int interruptFd = -1;

  bool isInterrupted() const;
  std::vector<std::string> command(std::vector<std::string> words) const;
};

// Creates Service and Job; kAlreadyExists when one of that name stands. kEnvironment: no kubectl,
// or no cluster behind it. What it says comes first in the message.
Result<void> createJob(os::ProcessRunner& runner, const Kubectl& kubectl, const KubernetesJob& job);
// Job, pods and Service; succeeds when they are gone already.
Result<void> deleteJob(os::ProcessRunner& runner, const Kubectl& kubectl, const std::string& name);

// The objects that have the job's label of a run, and their pods: succeeds once they are gone; when
// interrupted, once the cluster has heard of it. The remedy names the command that does it by hand.
Result<void> deleteRun(os::ProcessRunner& runner, const Kubectl& kubectl, const KubernetesJob& job);

enum class PodLog {
  kAsOutput,  // to standard output, as a result is awaited there
  kAsLines,   // to standard error, where lines are taken one by one; the node before them
};
// One shell for each rank: waits for its pod, follows its log, also when the stream of it is cut
// (the last lines may then come twice), ends with the container's exit code (4 when the pod never
// ran, with why on standard error).
std::vector<RankCommand> followCommands(const Kubectl& kubectl, const KubernetesJob& job,
                                        int waitSeconds, PodLog log = PodLog::kAsOutput);

}  // namespace railhead::launch

// Ranks that are started in pods which wait: one gang after the other, or two side by side, without
// a new Job for each. kubectl does the talking; `kubectl exec -i` stands for the rank here, hands
// its input on, and ends with its exit code.
#pragma once

#include "src/base/result.h"
#include "src/launch/commands.h"
#include "src/launch/gang.h"
#include "src/launch/kubernetes/follow.h"
#include "src/os/clock.h"
#include "src/os/process.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace railhead::launch {

struct PodWait {
  std::chrono::seconds most{300};  // for a cluster to pull the image and start the pods
  std::function<bool()> stopped;   // looked at every second; may be empty
};

// The names of the Job's pods, by rank, once the containers of all run. kEnvironment: they did not
// in time, and what their pods say of it; kUnavailable: stopped, or kubectl failed.
Result<std::vector<std::string>> runningPods(os::ProcessRunner& runner, os::Clock& clock,
                                             const Kubectl& kubectl, const KubernetesJob& job,
                                             const PodWait& wait);

// The program in each pod, by rank. What the pods' own environment does not say differs from gang
// to gang: it is told by --seat NAME=VALUE, as an image without a shell or env has no other way,
// and the token as the first line of its input (--token-from-stdin): words of a command can be read
// by every user. The program ends when its input does.
std::vector<RankCommand> execCommands(const Kubectl& kubectl, const std::vector<std::string>& pods,
                                      const RankProgram& program);

// Without the line that kubectl adds behind a rank's last one.
GangEnd withoutKubectlsWords(GangEnd end);

}  // namespace railhead::launch

// What lies beneath kubelet: something that makes sandboxes with a network and runs containers in
// them. Two of them: DirectRuntime does it itself, CriRuntime asks a real container runtime.
#pragma once

#include "lab/kubelet/pod.h"
#include "src/base/result.h"

#include <map>
#include <optional>
#include <set>
#include <string>

#include <sys/types.h>

namespace railhead::lab {

enum class DeleteMode {
  kProperly,    // CNI DEL, then the namespace goes
  kWithoutDel,  // the processes and the namespace go and nobody is told
  kNetnsFirst,  // the namespace is gone before CNI DEL
};

struct ContainerPlan {
  std::string logFolder;                           // exists
  std::string logName;                             // file in it, made anew
  std::map<std::string, std::string> environment;  // beneath the pod's own
};

// Thread-safe; kubelet makes one call at a time for one pod.
class PodRuntime {
 public:
  virtual ~PodRuntime() = default;

  // Sandbox and network: fills sandboxId, netns and cniResult as they come to be, also when it
  // fails.
  virtual Result<void> setUp(Pod& pod, const ContainerPlan& plan) = 0;
  // The pod's container in its sandbox.
  virtual Result<void> start(const Pod& pod, const ContainerPlan& plan) = 0;
  // All that is there of a pod that failed goes, whatever else fails. What failed; empty when
  // nothing.
  virtual std::string discard(const Pod& pod) = 0;
  // A refusal of CNI leaves the sandbox where it is; then it can be tried again.
  virtual Result<void> takeDown(const Pod& pod, DeleteMode mode) = 0;
  // Sandboxes that are not of `kept` pods (by uid) go, as kubelet's own housekeeping does it.
  virtual Result<void> cleanUp(const std::set<std::string>& kept) = 0;

  // Nothing while it runs or when there is none.
  virtual std::optional<int> exitCode(const Pod& pod) = 0;
  // A process with all the namespaces of the pod's container; 0 when the network's is the only one.
  virtual pid_t process(const Pod& pod) = 0;
  // Its logs have CRI's prefix of time, stream and tag before every line.
  virtual bool marksLogLines() const = 0;
};

}  // namespace railhead::lab

// Pods by a real container runtime (containerd), spoken to as kubelet does: sandbox, container,
// devices, mounts, CDI names, annotations, a cgroup for each pod.
#pragma once

#include "lab/cri/cri_client.h"
#include "lab/kubelet/pod_runtime.h"

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::lab {

class CriRuntime final : public PodRuntime {
 public:
  struct Places {
    std::string socket;                 // of the runtime
    std::string image;                  // of every container: there is no registry
    std::vector<kube::Mount> programs;  // into every container
    std::string cniResults;             // where the runtime's CNI library keeps what ADD gave
    std::string cgroup = "/sys/fs/cgroup";
    std::string proc = "/proc";
  };
  explicit CriRuntime(Places places) : places_(std::move(places)), client_(places_.socket) {}

  // Waits up to a minute for the runtime and its network, which start beside kubelet; then the
  // error says which condition does not hold.
  Result<void> setUp(Pod& pod, const ContainerPlan& plan) override;
  Result<void> start(const Pod& pod, const ContainerPlan& plan) override;
  std::string discard(const Pod& pod) override;
  // kWithoutDel kills what is in the sandbox and lets the namespace go; the runtime finds out by
  // itself, and keeps its record until cleanUp(). The shim is spared: containerd 2.1 leaves runc's
  // state and the cgroup of a pod's container behind when that is killed.
  Result<void> takeDown(const Pod& pod, DeleteMode mode) override;
  Result<void> cleanUp(const std::set<std::string>& kept) override;
  std::optional<int> exitCode(const Pod& pod) override;
  pid_t process(const Pod& pod) override;
  bool marksLogLines() const override { return true; }

 private:
  Result<void> awaitReady() const;
  Result<void> removeSandbox(const CriSandbox& sandbox);
  Result<void> dropCgroup(const std::string& uid) const;
  Result<void> breakSandbox(const Pod& pod) const;
  std::string containerOf(const Pod& pod) const;
  Result<std::string> cniResultOf(const std::string& sandboxId) const;

  const Places places_;
  const CriClient client_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> containers_;  // pod's uid -> container's ID
};

}  // namespace railhead::lab

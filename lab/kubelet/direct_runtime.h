// Pods without a container runtime: a network namespace, CNI called by us, a process in it. Quick,
// and enough for everything that only looks at the network.
#pragma once

#include "lab/kubelet/cni_runtime.h"
#include "lab/kubelet/container.h"
#include "lab/kubelet/pod_runtime.h"
#include "lab/kubelet/sandbox.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace railhead::lab {

class DirectRuntime final : public PodRuntime {
 public:
  // Both outlive it. Commands of pods are killed with it, namespaces stay.
  DirectRuntime(CniRuntime& cni, SandboxMaker& sandboxes) : cni_(cni), sandboxes_(sandboxes) {}

  Result<void> setUp(Pod& pod, const ContainerPlan& plan) override;
  Result<void> start(const Pod& pod, const ContainerPlan& plan) override;
  std::string discard(const Pod& pod) override;
  Result<void> takeDown(const Pod& pod, DeleteMode mode) override;
  Result<void> cleanUp(const std::set<std::string>&) override { return {}; }  // knows no others
  std::optional<int> exitCode(const Pod& pod) override;
  pid_t process(const Pod&) override { return 0; }
  bool marksLogLines() const override { return false; }

 private:
  std::unique_ptr<Container> takeContainer(const Pod& pod);

  CniRuntime& cni_;
  SandboxMaker& sandboxes_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Container>> containers_;  // by the pod's uid
};

}  // namespace railhead::lab

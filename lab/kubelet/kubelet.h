// A stand-in for kubelet and the container runtime beneath it, for tests and for the emulated
// nodes: the real protocols, the real order of calls, no images and no API server.
//
// It takes registrations on <plugins folder>/kubelet.sock, dials the plugins, follows their lists,
// serves pod-resources, and runs pods: prefer, allocate, network namespace, CNI. Like the real one
// it frees what a failed pod held and calls CNI DEL for it. Pods outlive restart().
#pragma once

#include "lab/kubelet/cni_runtime.h"
#include "lab/kubelet/container.h"
#include "lab/kubelet/device_ledger.h"
#include "lab/kubelet/plugin_link.h"
#include "lab/kubelet/pod.h"
#include "lab/kubelet/sandbox.h"
#include "lab/kubelet/services.h"
#include "src/base/result.h"
#include "src/os/unix_socket.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace railhead::lab {

struct KubeletOptions {
  std::string pluginsFolder;
  std::string podResourcesFolder;
  std::string logFolder;   // of the pods' commands
  bool offersGet = true;   // PodResourcesLister.Get
  std::string refuseWith;  // not empty: every registration is refused with this text
  std::map<std::string, std::string> environment;  // pods' commands see it beneath their own
};

struct PodStatus {
  Pod pod;
  std::optional<int> exitCode;  // of its command, once that ended
};

struct KubeletStatus {
  std::map<std::string, ResourceStatus> resources;
  std::vector<PodStatus> pods;
  std::uint64_t registrations = 0;  // accepted ones
};
std::string statusToJson(const KubeletStatus& status);

enum class DeleteMode {
  kProperly,    // CNI DEL, then the namespace goes
  kWithoutDel,  // the namespace goes and nobody is told
  kNetnsFirst,  // the namespace is gone before CNI DEL, which then gets an empty CNI_NETNS
};

// Thread-safe.
class Kubelet final : private Desk {
 public:
  // All three outlive it.
  Kubelet(KubeletOptions options, CniRuntime& cni, SandboxMaker& sandboxes);
  ~Kubelet() override;  // stops; commands of pods are killed, namespaces stay

  // Removes every socket in the plugins folder, as kubelet does, then listens.
  Result<void> start();
  void stop();
  Result<void> restart();  // stop and start; pods and what they hold stay
  void refuseRegistrations(const std::string& text);  // an empty text accepts them again
  // Hangs up on a resource's plugin, without restarting and without telling it.
  void dropPlugin(const std::string& resource);

  // kExhausted: too few devices free, "pod default/e waits: ..."; kAlreadyExists; CNI's refusal.
  Result<Pod> runPod(const PodSpec& spec);
  Result<void> deletePod(const PodName& name, DeleteMode mode);
  Result<Pod> findPod(const PodName& name) const;

  KubeletStatus status() const;
  // Until `wanted(status)` or the deadline; true when it came.
  bool waitFor(const std::function<bool(const KubeletStatus&)>& wanted,
               os::Deadline deadline) const;
  // Log file of a pod's command, whether it has one or not.
  std::string logFile(const PodName& name) const;

 private:
  struct Running {
    Pod pod;
    std::unique_ptr<Container> container;
  };

  Result<void> onRegister(const RegistrationRequest& request) override;
  std::vector<HeldDevice> heldDevices() override;
  std::vector<HeldDevice> allDevices() override;

  Result<void> removeSockets() const;
  Result<std::string> checkEndpoint(const RegistrationRequest& request) const;
  void listArrived(const std::string& resource, const PluginLink* from,
                   const std::vector<kube::Device>& devices);
  void linkEnded(const std::string& resource, const PluginLink* from);
  Result<void> admit(Pod& pod);
  Result<void> allocate(Pod& pod, const std::string& resource, int count);
  Result<void> setUp(Pod& pod);
  Result<void> startCommand(const Pod& pod);
  void forget(const PodName& name);
  KubeletStatus statusLocked() const;

  const KubeletOptions options_;
  CniRuntime& cni_;
  SandboxMaker& sandboxes_;

  std::mutex lifecycle_;
  std::unique_ptr<Services> services_;

  std::mutex admission_;  // one pod at a time gets devices

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  DeviceLedger ledger_;
  std::map<std::string, std::shared_ptr<PluginLink>> links_;
  std::map<PodName, Running> pods_;
  std::string refuseWith_;
  std::uint64_t registrations_ = 0;
};

}  // namespace railhead::lab

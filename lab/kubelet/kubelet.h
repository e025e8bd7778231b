// A stand-in for kubelet, for tests and for the emulated nodes: the real protocols, the real order
// of calls, no API server. The container runtime beneath it is a PodRuntime.
//
// It takes registrations on <plugins folder>/kubelet.sock, dials the plugins, follows their lists
// (all streams of a resource, until they end: a new registration closes none, and the end of any
// makes the resource's devices unhealthy, as kubelet's device manager has it),
// serves pod-resources, and runs pods: prefer, allocate, network namespace, CNI. Like the real one
// it frees what a failed pod held and calls CNI DEL for it. Pods outlive restart().
#pragma once

#include "lab/kubelet/device_ledger.h"
#include "lab/kubelet/plugin_link.h"
#include "lab/kubelet/pod.h"
#include "lab/kubelet/pod_runtime.h"
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
  int rejectedCalls = 0;   // of the pod-resources API, from the first on: kubelet limits their rate
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
  std::uint64_t podResourcesCalls = 0;
};
std::string statusToJson(const KubeletStatus& status);

// Thread-safe.
class Kubelet final : private Desk {
 public:
  // `runtime` outlives it.
  Kubelet(KubeletOptions options, PodRuntime& runtime);
  ~Kubelet() override;  // stops; pods stay with the runtime

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
  // Tells the runtime to drop the sandboxes of pods that are gone, as kubelet does once a minute.
  Result<void> cleanUp();
  Result<Pod> findPod(const PodName& name) const;

  KubeletStatus status() const;
  // Until `wanted(status)` or the deadline; true when it came. Without exit codes: commands end
  // unnoticed.
  bool waitFor(const std::function<bool(const KubeletStatus&)>& wanted,
               os::Deadline deadline) const;
  // Log file of a pod's command, whether it has one or not.
  std::string logFile(const PodName& name) const;
  PodRuntime& runtime() const { return runtime_; }

 private:
  Result<void> onRegister(const RegistrationRequest& request) override;
  std::vector<HeldDevice> heldDevices() override;
  std::vector<HeldDevice> allDevices() override;
  bool admitsCall() override;

  Result<void> removeSockets() const;
  Result<std::string> checkEndpoint(const RegistrationRequest& request) const;
  void listArrived(const std::string& resource, const std::vector<kube::Device>& devices);
  void linkEnded(const std::string& resource, const PluginLink* from);
  Result<void> admit(Pod& pod);
  Result<void> allocate(Pod& pod, const std::string& resource, int count);
  Result<void> bringUp(Pod& pod);
  ContainerPlan planFor(const PodName& name) const;
  void forget(const PodName& name);
  KubeletStatus statusLocked() const;

  const KubeletOptions options_;
  PodRuntime& runtime_;

  std::mutex lifecycle_;
  std::unique_ptr<Services> services_;

  std::mutex admission_;  // one pod at a time gets devices

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  DeviceLedger ledger_;
  // By resource: the newest is asked, the older ones are listened to.
  std::map<std::string, std::vector<std::shared_ptr<PluginLink>>> links_;
  std::map<PodName, Pod> pods_;
  std::string refuseWith_;
  std::uint64_t registrations_ = 0;
  std::uint64_t podResourcesCalls_ = 0;
};

}  // namespace railhead::lab

// Rail sets as one extended resource: what kubelet is told, and what a container that gets some of
// them receives. Thread-safe: the inventory changes while kubelet asks.
#pragma once

#include "src/advertise/cdi.h"
#include "src/advertise/inventory.h"
#include "src/advertise/numa_trail.h"
#include "src/kube/device.h"

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace railhead::advertise {

// Whether pods that hold devices of this resource may get soft-RoCE devices on them. Thread-safe.
using SoftRoceQuestion = std::function<bool(const std::string& resource)>;

// A tuned profile as a container gets it: one folder with files of these names.
struct ProfileMount {
  std::string hostFolder;
  std::string containerFolder;
  std::string conf;   // NCCL's settings, as a file: a process' environment wins against it
  std::string tuner;  // the plugin
  std::string table;  // the plugin's

  bool operator==(const ProfileMount&) const = default;
};
// The one that containers get now. Thread-safe, and returns at once.
using ProfileQuestion = std::function<std::optional<ProfileMount>()>;

class RailResource final : public kube::ResourceHandler {
 public:
  // `devDirectory`: the host's /dev. `trail`: shared with the node's other resources, may be null.
  // Without `softRoce` no pod gets any, without `profile` no container one.
  RailResource(RailResourceConfig config, std::string devDirectory, NumaTrail* trail = nullptr,
               SoftRoceQuestion softRoce = {}, ProfileQuestion profile = {});

  RailResourceConfig config() const;
  void configure(RailResourceConfig config);  // the name stays
  // A VF that is away with its RDMA device keeps the one it was last seen with: its pod's
  // containers are still made from that, also after a restart of one of them.
  void update(Inventory inventory);
  std::vector<kube::Device> devices() const;
  Inventory inventory() const;
  // Of the devices as they are now, under the resource's name as kind: an id with '_' for '+', the
  // device nodes of its RDMA devices. No devices unless the configuration asks for CDI.
  CdiSpec cdiSpec() const;
  // Makes devices unhealthy, for this reason, that need a CDI specification and are not in
  // `written` as they are now: a container with one would not start. Until the next update().
  void withholdUnspecified(const CdiSpec& written, const std::string& reason);
  // What an earlier agent specified: holds for a device while an RDMA device of it is away in a pod
  // and was not seen by this agent. Nodes that are no RDMA device's are passed over.
  void remember(const CdiNodes& nodes);

  // The environment of sriov-network-device-plugin (PCIDEVICE_<RESOURCE> and _INFO) and NCCL_IB_HCA
  // for exactly these rails; device nodes of their RDMA devices, or the CDI names that stand for
  // them. With soft-RoCE the folder of all device nodes: the pod's own come to be later. With a
  // profile its folder, and where NCCL and the plugin find their files in it. kNotFound names an
  // unknown id.
  Result<kube::AllocateAnswer> allocate(const std::vector<std::string>& ids) override;

  // Spreads over cages, then stays near what the container got of other resources (its GPU), then
  // takes the lowest index.
  Result<std::vector<std::string>> preferred(const std::vector<std::string>& available,
                                             const std::vector<std::string>& must,
                                             std::size_t size) override;

 private:
  const std::string devDirectory_;
  NumaTrail* const trail_;
  const SoftRoceQuestion softRoce_;
  const ProfileQuestion profile_;
  mutable std::mutex mutex_;
  RailResourceConfig config_;
  Inventory inventory_;
  CdiNodes remembered_;  // by CDI name
};

// "nvidia.com/cx7_qsfp" -> "PCIDEVICE_NVIDIA_COM_CX7_QSFP".
std::string pciDeviceVariable(const std::string& resource);

}  // namespace railhead::advertise

// A pod as the kubelet stand-in knows it. Value types; JSON stays in the .cc.
#pragma once

#include "src/base/result.h"
#include "src/kube/device.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::lab {

struct PodName {
  std::string podNamespace = "default";
  std::string name;
  std::string text() const { return podNamespace + "/" + name; }
  auto operator<=>(const PodName&) const = default;
};

// A folder of the node in the pod.
struct HostMount {
  std::string containerPath;
  std::string hostPath;
  bool readOnly = false;
  bool followsHost = false;  // mountPropagation: HostToContainer
};

// What a user asks for: one container.
struct PodSpec {
  PodName name;
  std::map<std::string, std::string> annotations;
  std::map<std::string, int> resources;    // extended resource -> how many
  std::map<std::string, std::string> env;  // wins over what the allocation gives
  std::vector<std::string> command;        // optional: runs inside the pod
  // Only a real runtime heeds what follows.
  std::vector<std::string> capabilities;  // to add, "IPC_LOCK"
  std::vector<std::string> droppedCapabilities;
  bool hostNetwork = false;
  bool readOnlyRoot = false;
  bool runtimeSeccomp = false;
  std::vector<HostMount> mounts;
};

// Accepts our short form {"name", "namespace", "annotations", "resources", "env", "command",
// "capabilities"} and a Kubernetes Pod with one container ("kind": "Pod"), of which the same parts
// are read, and host network, hostPath volumes and the container's security context. Unknown keys
// of the short form are refused. kInvalidArgument names the field.
Result<PodSpec> parsePodSpec(std::string_view json);

// "name" or "namespace/name".
Result<PodName> parsePodName(std::string_view text);

// A running pod.
struct Pod {
  PodSpec spec;
  std::string uid;
  std::string sandboxId;                                    // 64 hexadecimal digits
  std::string netns;                                        // path
  std::map<std::string, std::vector<std::string>> devices;  // resource -> IDs
  kube::AllocateAnswer allocation;                          // of all resources together
  std::string cniResult;    // JSON of the last plugin; empty before, and in the node's own network
  bool made = false;        // and may be deleted
  double setUpSeconds = 0;  // what its sandbox with network took
  double startSeconds = 0;  // and its container after that
};

std::map<std::string, std::string> podEnvironment(const Pod& pod);

// {"namespace", "name", "uid", "sandbox", "netns", "devices", "env", "mounts", "deviceNodes",
//  "annotations", "cdiDevices", "cni", "seconds": {"set_up", "start"}}
std::string podToJson(const Pod& pod);

}  // namespace railhead::lab

// What a node offers to kubelet as one extended resource, and what a container gets for it. Value
// types and the one interface a resource implements; no gRPC, no I/O.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace railhead::kube {

struct Device {
  std::string id;  // 1 to 63 printable characters, unique within the resource
  bool healthy = true;
  std::vector<int> numaNodes;  // empty when unknown: kubelet then makes no alignment
  bool operator==(const Device&) const = default;
};

struct Mount {
  std::string containerPath;
  std::string hostPath;
  bool readOnly = true;
  bool operator==(const Mount&) const = default;
};

struct DeviceNode {
  std::string containerPath;
  std::string hostPath;
  std::string permissions = "rw";  // of r, w, m
  bool operator==(const DeviceNode&) const = default;
};

// What one container gets for its devices.
struct AllocateAnswer {
  std::map<std::string, std::string> env;
  std::vector<Mount> mounts;
  std::vector<DeviceNode> deviceNodes;
  std::map<std::string, std::string> annotations;  // for the container runtime
  std::vector<std::string> cdiDevices;             // fully qualified: "vendor.com/class=name"
  bool operator==(const AllocateAnswer&) const = default;
};

// A resource's own decisions. Called from the server's thread, one call at a time; a call should
// return within a second, since that server answers nothing else meanwhile.
class ResourceHandler {
 public:
  virtual ~ResourceHandler() = default;

  // One container gets `ids`: at least one, distinct, all in the last setDevices().
  virtual Result<AllocateAnswer> allocate(const std::vector<std::string>& ids) = 0;

  // Which `size` of `available` fit together best, `must` among them. An empty answer leaves the
  // choice to kubelet. `must` is within `available` and no longer than `size`.
  virtual Result<std::vector<std::string>> preferred(const std::vector<std::string>& available,
                                                     const std::vector<std::string>& must,
                                                     std::size_t size) = 0;
};

}  // namespace railhead::kube

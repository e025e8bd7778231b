// Connections of kubelet's to device-plugin servers that serve no longer: of an older agent, or of
// a resource that another plugin took over. They are kept open and nothing else, because kubelet
// marks a resource's devices unhealthy when any stream of it ends
// (src/kube/device_plugin_server.h). Thread-safe.
#pragma once

#include "src/os/unique_fd.h"

#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace railhead::agent {

struct KeptConnection {
  std::string resource;
  os::UniqueFd fd;
};

class HeldConnections {
 public:
  void add(std::vector<KeptConnection> connections);
  // Lets go of those that kubelet closed. True: kubelet wanted something on one of them, which
  // nobody answers; it was closed, and the resource has to be registered again.
  bool prune();
  void keepOnly(const std::function<bool(const std::string& resource)>& wanted);
  std::vector<KeptConnection> takeAll();

 private:
  std::mutex mutex_;
  std::vector<KeptConnection> connections_;
};

}  // namespace railhead::agent

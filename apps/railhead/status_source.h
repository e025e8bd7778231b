// Whom `railhead status` asks. Every wait has a deadline.
#pragma once

#include "apps/railhead/status_view.h"
#include "src/base/result.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"

#include <string>
#include <vector>

namespace railhead::app {

// The agent of this node, over its root-only socket. kEnvironment without one.
Result<std::vector<NodeAnswer>> askThisNode(const os::HostPaths& paths);

// The agents of an emulated cluster; no `nodes`: all. kNotFound when no such lab runs.
Result<std::vector<NodeAnswer>> askLab(const std::string& lab,
                                       const std::vector<std::string>& nodes);

struct ClusterOptions {
  std::string kubectl = "kubectl";
  std::string podNamespace = "railhead";
  std::string selector = "app.kubernetes.io/name=railhead-agent";
  std::vector<std::string> nodes;  // none: all
};

// The agents of a cluster, each by `kubectl exec` in its pod: kubectl has the credentials, we have
// none. kEnvironment: no kubectl, no cluster or no such pod.
Result<std::vector<NodeAnswer>> askCluster(os::ProcessRunner& processes,
                                           const ClusterOptions& options);

}  // namespace railhead::app

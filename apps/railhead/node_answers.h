// Asks nodes: a command of ours runs on each and prints JSON. Every wait has a deadline.
#pragma once

#include "src/base/result.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"

#include <string>
#include <vector>

namespace railhead::app {

// What one node said, or why there is nothing.
struct NodeAnswer {
  std::string node;
  std::string json;     // empty when there is a problem
  std::string problem;  // one line
};

// The agent of this node, over its root-only socket. kEnvironment without one.
Result<std::vector<NodeAnswer>> askThisNode(const os::HostPaths& paths);

// `command` on the nodes of an emulated cluster; no `nodes`: all. kEnvironment when no such lab
// runs.
Result<std::vector<NodeAnswer>> askLab(const std::string& lab,
                                       const std::vector<std::string>& nodes,
                                       const std::vector<std::string>& command);

struct ClusterOptions {
  std::string kubectl = "kubectl";
  std::string podNamespace = "railhead-system";  // as deploy/base has it
  std::string selector = "app.kubernetes.io/name=railhead-agent";
  std::vector<std::string> nodes;  // none: all
};

// `command` on the nodes of a cluster, by `kubectl exec` in each agent's pod: kubectl has the
// credentials, we have none. kEnvironment: no kubectl, no cluster or no such pod.
Result<std::vector<NodeAnswer>> askCluster(os::ProcessRunner& processes,
                                           const ClusterOptions& options,
                                           const std::vector<std::string>& command);

}  // namespace railhead::app

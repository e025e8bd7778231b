// Where the agent finds the Kubernetes API server: in a pod by what kubelet gives to it, elsewhere
// by the command line. Nothing is read before a configured function needs it.
#pragma once

#include "src/agent/cluster/cluster.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace railhead::agent_app {

struct ApiOptions {
  std::string url;  // empty: as a pod
  std::string tokenFile;
  std::string caFile;
  std::string node;  // name of the Node object; empty: $NODE_NAME, else the host's name
  std::string accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";
};

void addApiOptions(CLI::App& command, ApiOptions& options);

class ApiAccess {
 public:
  static Result<std::unique_ptr<ApiAccess>> make(const ApiOptions& options);

  const agent::ClusterAccess& cluster() const { return cluster_; }

 private:
  std::unique_ptr<os::Filesystem> files_;  // of the agent's own container, whatever --root says
  agent::ClusterAccess cluster_;
};

}  // namespace railhead::agent_app

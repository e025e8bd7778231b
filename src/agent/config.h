// The agent's configuration file: one YAML document, version 1 (docs/reference/agent-config.md).
#pragma once

#include "src/advertise/resource.h"
#include "src/agent/cluster/config.h"
#include "src/agent/config_cni.h"
#include "src/agent/config_gpus.h"
#include "src/agent/config_profile.h"
#include "src/attach/config.h"
#include "src/base/result.h"
#include "src/discover/twins.h"
#include "src/metrics/http_endpoint.h"
#include "src/provision/goal.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::agent {

// Each can be switched off to live beside NVIDIA's plugin, Multus or an existing SR-IOV plugin.
struct Functions {
  bool provision = true;  // create and set up VFs
  bool rails = true;      // advertise rail sets to kubelet
  bool cni = true;        // attach pods
  // Advertise GPUs where there is a GPU driver and no other device plugin for them. Can be switched
  // while the agent runs.
  bool gpus = true;
  bool operator==(const Functions&) const = default;
};

struct AgentConfig {
  Functions functions;
  provision::Goal goal;
  discover::TwinRules twins;
  std::vector<advertise::RailResourceConfig> resources;
  GpusConfig gpus;
  CniConfig cni;
  ProfileConfig profile;
  attach::AttachConfig attach;  // addresses and networks; paths and waits keep their defaults
  ClusterConfig cluster;        // what is asked of the Kubernetes API server
  std::optional<metrics::ListenAddress> metrics;  // absent: no /metrics, /healthz, /readyz
};

// The document may also be the resourceList (JSON) of sriov-network-device-plugin: it advertises
// single rails then, and neither provisions, attaches nor advertises GPUs. kInvalidArgument names
// the file, the line, the field, its value and what is allowed. Nothing is looked up on the node
// here.
Result<AgentConfig> parseConfig(std::string_view text, const std::string& source);

// kInvalidArgument names a field that is different and cannot change while pods and kubelet rely on
// it.
Result<void> checkReloadable(const AgentConfig& before, const AgentConfig& after);

}  // namespace railhead::agent

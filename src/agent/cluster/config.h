// What the agent does with the Kubernetes API server: the configuration's `kubernetes` section and
// `node.ordinal: lease`. All of it is off by default: such an agent needs no credentials.
#pragma once

#include "src/base/result.h"
#include "src/config/field.h"
#include "src/os/host_paths.h"

#include <string>

namespace railhead::agent {

enum class NadOrigin { kOff, kApi, kFiles };

struct ClusterConfig {
  NadOrigin nads = NadOrigin::kOff;
  std::string nadFolder = os::HostPaths().nads;  // with kFiles
  bool events = false;
  bool networkStatus = false;
  bool labels = false;
  bool ordinalByLease = false;
  std::string leaseNamespace;  // empty: the agent's own
  std::string leasePrefix = "railhead-ordinal";

  bool needsApiServer() const {
    return nads == NadOrigin::kApi || events || networkStatus || labels || ordinalByLease;
  }
  bool tellsOfDevices() const { return events || labels; }
  bool operator==(const ClusterConfig&) const = default;
};

// The `kubernetes` section; absent: nothing changes. kInvalidArgument.
Result<void> readCluster(const config::Field& field, ClusterConfig& cluster);

}  // namespace railhead::agent

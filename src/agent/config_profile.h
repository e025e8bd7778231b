// The `profile` of the agent's configuration: the tuned NCCL settings that pods with rails get.
#pragma once

#include "src/config/field.h"

#include <string>

namespace railhead::agent {

struct ProfileConfig {
  std::string file;     // absolute, written by `railhead tune`; empty: no profile is delivered
  std::string plugin;   // absolute; empty: the one that is shipped (os::HostPaths::ncclTuner)
  std::string mountAt;  // folder in containers; absolute
  bool operator==(const ProfileConfig&) const = default;
};

Result<ProfileConfig> readProfileConfig(const config::Field& field);

}  // namespace railhead::agent

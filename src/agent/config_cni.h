// The `cni` of the agent's configuration: how the runtime comes to call us.
#pragma once

#include "src/config/field.h"

#include <string>

namespace railhead::agent {

struct CniConfig {
  bool conflist = false;  // write and follow the conflist
  bool shim = false;      // install the shim: with the conflist always
  std::string file;       // of the conflist, in the runtime's folder
  std::string primary;    // file of the primary network; empty: the first that is not ours
  bool operator==(const CniConfig&) const = default;
};

Result<CniConfig> readCni(const config::Field& field);

}  // namespace railhead::agent

// A profile in the forms that others read. Pure functions.
#pragma once

#include "src/base/result.h"
#include "src/tune/profile.h"

#include <string>
#include <string_view>

namespace railhead::tune {

// Lines of NAME=value for NCCL's variables; in comments the profile's hash, and each knob of the
// host backend, which nothing reads from here.
std::string ncclConf(const Profile& profile);

// The same for a POSIX shell: export NAME='value'.
std::string shellEnvironment(const Profile& profile);

// The plugin's table file (table.h), with the profile's hash.
Result<std::string> tunerTable(const Profile& profile);

// A Kubernetes ConfigMap with the keys profile.yaml, nccl.conf and nccl-tuner.table.
// kInvalidArgument: `name` or `space` (empty: none said) is no Kubernetes name, or the profile
// cannot be written.
Result<std::string> configMap(const Profile& profile, std::string_view name,
                              std::string_view space);

}  // namespace railhead::tune

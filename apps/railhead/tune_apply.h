// A profile's place in a folder that others read or mount, laid out as Kubernetes lays out a
// mounted ConfigMap: `..data` points at one whole generation, so that all files change at once.
//
//   profile.yaml, nccl.conf, nccl-tuner.table -> ..data/NAME
//   ..data -> ..0123456789abcdef (of the profile's hash);  ..previous -> the one before
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/tune/profile.h"

#include <string>

namespace railhead::app {

struct Applied {
  std::string now;       // first 16 digits of the hash; empty: no profile
  std::string previous;  // what a rollback brings back; empty: no profile
};

// `folder` is absolute, and made when it is not there. Doing it twice changes nothing.
// kAlreadyExists: a file of another's making stands in a name's place.
Result<Applied> applyProfile(os::Filesystem& files, const std::string& folder,
                             const tune::Profile& profile);
// Back to what was there before the last change; a second time forward again. kNotFound: nothing
// was applied there.
Result<Applied> rollBack(os::Filesystem& files, const std::string& folder);

}  // namespace railhead::app

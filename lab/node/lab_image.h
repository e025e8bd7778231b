// The image every node boots, as `./dev build` leaves it. Value type and one reader.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <string>

namespace railhead::lab {

struct LabImage {
  static constexpr unsigned kMinimumKernel = 7;  // soft-RoCE in a pod's namespace needs it

  std::string directory;  // absolute
  std::string kernelFile;
  std::string initramfsFile;
  std::string rootFile;
  std::string kernelRelease;  // what `uname -r` will say in a node
};

// kEnvironment, with the remedy, when the image is missing, incomplete or holds an old kernel.
Result<LabImage> openLabImage(os::Filesystem& files, const std::string& directory);

}  // namespace railhead::lab

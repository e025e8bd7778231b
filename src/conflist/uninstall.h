// Takes our conflist away, and then the program, unless something still needs them. Writes nothing
// else. What is not there is fine.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <string>
#include <vector>

namespace railhead::conflist {

struct UninstallPlaces {
  std::string folder;     // /etc/cni/net.d
  std::string binFolder;  // /opt/cni/bin
  std::string file;       // the name of our conflist
  // Where runtimes keep the list that each pod was made with (libcni's cache). CRI-O takes a pod
  // down by it, whatever the folder says by then. It need not exist.
  std::string cache;
};

struct UninstallOutcome {
  std::vector<std::string> changes;  // what was removed
  // Why something stays, with what to do about it; empty when nothing of ours is left.
  std::string stays;
};

Result<UninstallOutcome> uninstall(os::Filesystem& files, const UninstallPlaces& places);

}  // namespace railhead::conflist

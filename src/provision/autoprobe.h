// What a PF's sriov_drivers_autoprobe said before provisioning changed it for a while. Kept in the
// state directory, so that the successor of a killed process puts it back too. Not thread-safe.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <optional>
#include <string>

namespace railhead::provision {

class Autoprobe {
 public:
  Autoprobe(os::Filesystem& files, const os::HostPaths& paths, const PciAddress& pf);

  // The value to put back; nothing when the PF stands as it was found.
  Result<std::optional<bool>> before();
  // Keeps the value found at the first change, and forgets it when it is set again.
  Result<void> set(bool on);
  // Puts the value back if it is not the one found.
  Result<void> restore();

 private:
  os::Filesystem& files_;
  std::string stateFolder_;
  std::string record_;
  std::string attribute_;
};

}  // namespace railhead::provision

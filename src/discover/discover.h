// Reads the picture of a node from sysfs and procfs, of this machine or of a recorded tree.
#pragma once

#include "src/base/result.h"
#include "src/discover/node.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"

#include <cstddef>

namespace railhead::discover {

inline constexpr std::size_t kMaxPciDevices = 4096;  // more are left out, and Node::notes says so
inline constexpr std::size_t kMaxVfsPerPf = 1024;

// Writes nothing. An attribute that is missing, unreadable or malformed leaves its field empty; an
// error only when there is no sysfs at all. A netdev that sits in another namespace (a pod's) is
// not seen; its VF is, through the PF's virtfnN.
Result<Node> discoverNode(os::Filesystem& files, const os::HostPaths& paths);

// One function, without what only PFs have. kNotFound when it is gone.
Result<PciFunction> discoverFunction(os::Filesystem& files, const os::HostPaths& paths,
                                     const PciAddress& pci);

// One PF with its VFs, read anew. kNotFound when the function is gone.
Result<Pf> discoverPf(os::Filesystem& files, const os::HostPaths& paths, const PciAddress& pci);

}  // namespace railhead::discover

// What each VF has carried, as its PF counts it: also while the VF sits in a pod's namespace, where
// its own counters cannot be seen from the host.
#pragma once

#include "src/base/pci_address.h"
#include "src/discover/node.h"
#include "src/netlink/client.h"

#include <chrono>
#include <string>
#include <vector>

namespace railhead::discover {

struct VfTraffic {
  std::string pf;  // netdev
  PciAddress pci;  // of the VF
  int vfIndex = 0;
  netlink::VfTraffic carried;
};

struct VfTrafficReport {
  std::vector<VfTraffic> vfs;  // those that the PF's driver counts
  bool cut = false;            // `deadline` came: the rest was not asked for
};

// Asks no more once `deadline` has come. A PF that does not answer is left out.
VfTrafficReport readVfTraffic(netlink::NetlinkOpener& netlink, const Node& node,
                              std::chrono::steady_clock::time_point deadline);

}  // namespace railhead::discover

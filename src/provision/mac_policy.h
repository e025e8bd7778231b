// Addresses for VFs that are the same after every boot. Pure functions.
#pragma once

#include "src/base/mac.h"
#include "src/base/pci_address.h"

#include <string>
#include <string_view>

namespace railhead::provision {

// Locally administered unicast address from the PF's permanent MAC and the VF's index: 46 hashed
// bits, so that no two PFs of a cluster share a range.
Mac stableVfMac(const Mac& pfPermanentMac, int vfIndex);

// The same for a PF without a MAC of its own (zero, or shared with another PF of the node): from
// the node's name and the PF's PCI address.
Mac stableVfMac(std::string_view hostname, const PciAddress& pf, int vfIndex);

}  // namespace railhead::provision

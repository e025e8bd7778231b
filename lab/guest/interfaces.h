// The network devices of a lab node, found by PCI address.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"

#include <map>
#include <string>

namespace railhead::lab {

// Name of the one netdev of a PCI function below `sys`; kNotFound when there is none (yet).
Result<std::string> interfaceOf(const std::string& sys, const PciAddress& address);

// Waits until every function has its netdev (drivers probe on their own time), then gives each its
// name. Leaves the devices down. kDeadlineExceeded names the function that has none.
Result<void> nameInterfaces(const std::string& sys, const std::map<PciAddress, std::string>& names,
                            int waitMilliseconds);

Result<void> bringUp(const std::string& interface);

}  // namespace railhead::lab

// What the kernel command line tells a lab node about itself. Pure; thread-safe.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"

#include <map>
#include <string>
#include <string_view>

namespace railhead::lab {

// "railhead.node=NAME railhead.pf=PCI=IFNAME,PCI=IFNAME railhead.share=/run/FOLDER"; every other
// word is the kernel's.
struct GuestConfig {
  std::string node = "node";                     // a host name: 1-63 of a-z 0-9 '-'
  std::map<PciAddress, std::string> interfaces;  // new name of each PF's netdev, 1-15 bytes
  std::string share;  // where the folder that the host shares goes, below /run; empty: none

  // kInvalidArgument names the word, its value and what is allowed.
  static Result<GuestConfig> parse(std::string_view commandLine);
};

}  // namespace railhead::lab

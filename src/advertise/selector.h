// Which VFs a resource is made of. The fields are those of sriov-network-device-plugin's selectors,
// with `port` and `twin` added; all fields that are given must hold, one of a field's values is
// enough. Value types; pure and thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/discover/node.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::advertise {

// A PF, and some of its VFs: "enp1s0f0np0", "enp1s0f0np0#0-3,6".
struct VfRange {
  std::string pf;                        // name or PCI address
  std::vector<std::pair<int, int>> vfs;  // first and last index; empty: all

  // kInvalidArgument says what is allowed.
  static Result<VfRange> parse(std::string_view text);
  bool holds(int index) const;
};

struct Selector {
  std::vector<std::uint16_t> vendors;  // of the VF: 15b3
  std::vector<std::uint16_t> devices;  // of the VF: 101e
  std::vector<std::string> drivers;    // of the VF
  std::vector<VfRange> pfNames;        // PFs by interface name
  std::vector<VfRange> rootDevices;    // PFs by PCI address
  std::vector<PciAddress> pciAddresses;
  std::vector<discover::LinkType> linkTypes;
  std::vector<std::string> ports;  // the PF's phys_port_name: "p0"
  std::optional<int> twin;         // position of the PF in its cage: 0 is net1
  bool isRdma = false;             // has an RDMA device
};

// In a pod, maybe with its RDMA device (exclusive mode): what it has cannot be seen from here.
bool isAway(const discover::Vf& vf);

bool selects(const Selector& selector, const discover::Pf& pf, const discover::Vf& vf, int twin);

}  // namespace railhead::advertise

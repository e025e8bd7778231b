// The picture of one node, as read from sysfs and netlink. Plain values; nothing here does I/O.
#pragma once

#include "src/base/guid.h"
#include "src/base/mac.h"
#include "src/base/pci_address.h"
#include "src/base/units.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace railhead::discover {

struct RdmaDevice {
  std::string name;              // "rocep1s0f0"
  std::string uverbs;            // "uverbs0"; empty when the uverbs module is not loaded
  std::optional<Guid> nodeGuid;  // absent: unreadable; zero on mlx5 until a VF has its MAC
  std::string portState;         // port 1: "ACTIVE", "DOWN", ...; empty when unreadable
};

struct PcieLink {
  int width = 0;  // lanes in use; 0 when sysfs does not say (emulated or on-die)
  int maxWidth = 0;
  double gigatransfers = 0;  // per lane, GT/s
  double maxGigatransfers = 0;
};

enum class LinkType { kUnknown, kEthernet, kInfiniband };
const char* linkTypeName(LinkType type);  // "ether", "infiniband"; "" when unknown

struct PciFunction {
  PciAddress pci;
  std::uint16_t vendor = 0;  // 0x15b3
  std::uint16_t device = 0;  // 0x1021
  std::string driver;        // "mlx5_core"; empty when no driver is bound
  int numaNode = -1;         // -1: no affinity known
  std::string netdev;        // name in this namespace; empty when unbound or moved into a pod
  std::vector<RdmaDevice> rdma;
};

struct Vf : PciFunction {
  int index = 0;  // the PF's virtfnN
  Mac mac;        // as the netdev has it; zero when the netdev is not here
  int mtu = 0;
};

struct Pf : PciFunction {
  Mac mac;
  int mtu = 0;
  bool up = false;  // administratively
  bool carrier = false;
  std::optional<BitRate> speed;
  LinkType linkType = LinkType::kUnknown;
  std::string physPortName;  // "p0"; empty when the driver has none
  std::string physSwitchId;  // hexadecimal; empty when the driver has none
  PcieLink pcie;
  int totalVfs = 0;               // sriov_totalvfs; 0: not SR-IOV capable
  int numVfs = 0;                 // sriov_numvfs
  std::optional<bool> autoprobe;  // sriov_drivers_autoprobe: new VFs get a driver by themselves
  std::vector<Vf> vfs;            // by index
  // Names that its netdev had before, as far as they are remembered (memory.h).
  std::vector<std::string> earlierNames;
};

struct Gpu {
  PciAddress pci;
  std::uint16_t device = 0;
  int numaNode = -1;
  std::string driver;
};

struct Node {
  std::string hostname;
  std::string kernel;                  // "7.3.4+deb13-amd64"
  std::string architecture;            // "x86_64", "aarch64"
  std::vector<Pf> pfs;                 // SR-IOV capable network functions, by PCI address
  std::vector<PciFunction> otherNics;  // network functions without SR-IOV
  std::vector<Gpu> gpus;
  std::vector<std::string> notes;  // what was left out of this picture, and why
};

// One path from a pod to the wire.
struct Rail {
  PciAddress pf;
  PciAddress vf;
  int vfIndex = 0;
  int cage = 0;  // which PF of its rail set: 0 is the first twin, its interface is net1
};

// One VF of each twin, handed out as one device. On a NIC without twins it is a set of one.
struct RailSet {
  std::string
      id;  // VF addresses joined by '+': "0000:01:10.0+0002:01:10.0"; the same after any restart
  int index = 0;  // 0-based on this node, in order of first VF; enters the address formula
  std::vector<Rail> rails;
};

}  // namespace railhead::discover

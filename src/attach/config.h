// What an administrator decides about pod networks, and the waits of the attach module. Plain
// values; validate() checks them before anything on the node is touched.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/cni/protocol.h"
#include "src/netlink/types.h"
#include "src/os/host_paths.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::attach {

// What a pod gets beside the netdev.
enum class RdmaUse {
  kNone,    // a netdev only
  kDevice,  // the VF's own RDMA device: moved when the kernel's RDMA namespaces are exclusive
  kSoft,    // a soft-RoCE device on the VF, made inside the pod's namespace (needs kernel >= 7)
};
std::string_view rdmaUseName(RdmaUse use);  // "none", "device", "soft"
Result<RdmaUse> parseRdmaUse(std::string_view text);

// A network a pod can ask for by name: what a NetworkAttachmentDefinition says.
struct NetworkDefinition {
  std::string name;          // "dgx-qsfp"
  std::string podNamespace;  // where it may be asked for; empty: in every namespace
  std::string resourceName;  // "nvidia.com/cx7_qsfp": whose devices it uses
  // By rail (cage): rail 0 is net1. At most one IPv4 and one IPv6 subnet for each rail.
  std::vector<std::vector<IpPrefix>> railSubnets;
  int mtu = 0;  // bytes; 0: as the VF has it
  RdmaUse rdma = RdmaUse::kDevice;
  netlink::VfChange vf;  // set through the PF at ADD, put back at DEL; `mac` also on the netdev
  // Configuration of the CNI plugin that gives the addresses, run once for each rail: a JSON object
  // with name, cniVersion and ipam. Empty: addresses belong to VFs, from railSubnets.
  std::string ipamConfig;
  std::string ipamType;  // "host-local"; empty exactly when ipamConfig is
  std::string deviceId;  // a device the network itself names, when resourceName is empty
};

// Address = network address of the rail's subnet + 1 + nodeOrdinal x railSetsPerNode + index of the
// rail set. The 1 keeps the network's own address (IPv6: the subnet-router anycast) unused.
struct AddressPlanConfig {
  int nodeOrdinal = 0;      // 0-based, different on every node that shares the subnets
  int railSetsPerNode = 4;  // the same on every node that shares the subnets
  int nodes = 0;            // how many nodes share them; 0: not said, only this node is checked
  bool operator==(const AddressPlanConfig&) const = default;
};

struct AttachConfig {
  os::HostPaths paths;
  AddressPlanConfig addresses;
  std::vector<NetworkDefinition> networks;
  // How long DEL waits for the kernel to give a VF of a dead namespace back. Later ones are
  // finished by sweep().
  std::chrono::milliseconds returnWait{2000};
  std::chrono::milliseconds gidWait{2000};      // how long ADD waits for the RoCE v2 GID
  std::chrono::milliseconds queueWait{20000};   // ... for an earlier request of the same container
  std::chrono::milliseconds pluginWait{60000};  // how long one CNI plugin may run
  // How long a request may take in all before it is undone, and how long plugins may undo then.
  std::chrono::milliseconds requestWait{cni::kRequestBound};
  std::chrono::milliseconds undoWait{cni::kUndoBound};
  // A DEL that a plugin failed is tried again by sweepPlugins() after this long, then twice as
  // long, ...
  std::chrono::milliseconds pluginPause{15000};
};

// kInvalidArgument with the field ("networks[0].railSubnets[1]"), its value and what is allowed:
// names, limits, subnets too small for the nodes or overlapping each other.
Result<void> validate(const AttachConfig& config);
Result<void> validate(const NetworkDefinition& network, const AddressPlanConfig& addresses);

}  // namespace railhead::attach

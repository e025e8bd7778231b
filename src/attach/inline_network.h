// The parts of a network that a configuration of type "railhead" or "sriov" may hold, in a
// NetworkAttachmentDefinition or handed to us as a delegate: "subnets", "mtu", "rdma", "ipam", and
// sriov-cni's VF settings. Other keys (logLevel, logFile, ...) are accepted and mean nothing here.
#pragma once

#include "src/attach/config.h"
#include "src/base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::attach {

struct InlineNetwork {
  std::vector<std::vector<IpPrefix>> railSubnets;  // empty: as the catalog says
  int mtu = 0;                                     // 0: as the catalog says
  std::optional<RdmaUse> rdma;
  netlink::VfChange vf;    // with `mac`: the configuration's, or the runtime's in its place
  std::string ipamConfig;  // the whole configuration, for the IPAM plugin; empty: VF-bound
  std::string ipamType;
  std::string deviceId;          // "deviceID"
  std::vector<std::string> ips;  // the runtime's (runtimeConfig.ips), as in an annotation

  // `base` with what is set here.
  NetworkDefinition over(NetworkDefinition base) const;
};

// What a runtime says in CNI_ARGS of one interface; empty: nothing.
struct ArgumentsOfInterface {
  std::string mac;  // MAC=
  std::string ips;  // IP=, joined by ','
};

// From a configuration, a JSON object. `arguments` come before what it says itself, and what it has
// in runtimeConfig before both. kInvalidArgument names the key, its value and what is
// allowed; kUnsupported for an InfiniBand GUID, which a rail on Ethernet derives from its MAC, and
// for IPAM of type dhcp, which needs the VF in the pod before it has an address.
Result<InlineNetwork> parseInlineNetwork(std::string_view config,
                                         const ArgumentsOfInterface& arguments = {});

// The refusal of a GUID, which only InfiniBand has.
Error guidRefused(const std::string& guid);

}  // namespace railhead::attach

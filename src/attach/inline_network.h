// The parts of a network that a delegate's own configuration (a NetworkAttachmentDefinition of type
// "railhead" or "sriov") may hold: "subnets", "mtu", "rdma", and sriov-cni's VF settings.
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
  netlink::VfChange vf;

  // `base` with what is set here.
  NetworkDefinition over(NetworkDefinition base) const;
};

// From the delegate's configuration, a JSON object. kInvalidArgument names the key, its value and
// what is allowed; kUnsupported for an "ipam", as addresses belong to VFs here.
Result<InlineNetwork> parseInlineNetwork(std::string_view config);

}  // namespace railhead::attach

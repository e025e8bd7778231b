// Whether the subnets of rails are free: each its own rail's among the networks of one pod, and
// nobody else's on the node or in the pod. Plain values and one dump of routes; thread-safe.
#pragma once

#include "src/attach/config.h"
#include "src/base/result.h"
#include "src/discover/node.h"
#include "src/netlink/client.h"

#include <set>
#include <string>
#include <vector>

namespace railhead::attach {

struct PlacedSubnet {
  IpPrefix subnet;
  std::string place;     // "networks[0].subnets[1]"
  std::string resource;  // the same resource and rail may share one subnet: same VF, same address
  std::size_t rail = 0;
};
std::vector<PlacedSubnet> subnetsOf(const NetworkDefinition& network, const std::string& place);

// kInvalidArgument names the two that overlap.
Result<void> checkOverlaps(const std::vector<PlacedSubnet>& subnets);

// The node's PFs and VFs, as Link::parentDevice has them.
struct RailDevices {
  std::set<std::string> pfs;
  std::set<std::string> vfs;
};
RailDevices railDevices(const std::vector<discover::RailSet>& sets);

// kInvalidArgument names the subnet and the route that the namespace of `links` has for it, or for
// a part of it. A route to a larger net by way of a gateway elsewhere is nobody's claim, nor is the
// default route. What a PF or a VF has on its rail's subnet is the rail's, unless a PF has an
// address that the plan gives to a VF. `where`: "this node", "the pod".
Result<void> checkUnused(const std::vector<PlacedSubnet>& subnets, const AddressPlanConfig& plan,
                         netlink::LinkClient& links, const RailDevices& own,
                         const std::string& where);

}  // namespace railhead::attach

// Keeps the rails of one pod apart: each answers ARP for its own addresses only, and what has a
// rail's address leaves by that rail, whatever the main table says. No two rails ever answer for
// each other, in one subnet or in several.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/netlink/client.h"

#include <vector>

namespace railhead::attach {

// Of our rules in a pod; the main table is asked at 32766. A rail's table is this plus the index of
// its link.
inline constexpr std::uint32_t kRailRulePriority = 5200;

struct RailRouting {
  int linkIndex = 0;                // in the pod
  std::vector<IpPrefix> addresses;  // that the link has
  std::vector<IpAddress> gateways;  // at most one of each family
};

// With the link up. What is there already stays.
Result<void> keepApart(netlink::LinkClient& pod, const RailRouting& rail);

// Takes our rules of this link and of these addresses away; the routes go with the link. Rules that
// are not there are fine. `linkIndex` 0: the link is not in the pod any more. The index matters
// after a crash, when nobody knows yet which addresses an IPAM plugin gave.
Result<void> forget(netlink::LinkClient& pod, int linkIndex,
                    const std::vector<IpPrefix>& addresses);

// kCheckFailed says what is missing.
Result<void> checkApart(netlink::LinkClient& pod, const RailRouting& rail);

}  // namespace railhead::attach

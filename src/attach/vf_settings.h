// Sets of VF settings: which ones a network changes, what they were, what is left to do. Pure.
#pragma once

#include "src/netlink/types.h"

namespace railhead::attach {

bool isEmpty(const netlink::VfChange& change);

// The kernel sets VLAN, QoS and protocol in one go, and both rates in one: when one of a group is
// set, the others become explicit with their default.
netlink::VfChange withWholeGroups(netlink::VfChange change);

// The settings that `mask` has, with the values of `current`.
netlink::VfChange selected(const netlink::VfSettings& current, const netlink::VfChange& mask);

// Those of `wanted` that `current` does not have yet, in whole groups.
netlink::VfChange missing(const netlink::VfSettings& current, const netlink::VfChange& wanted);

}  // namespace railhead::attach

// A pod's default route through a network of its choice, in place of the one it has. One pod at a
// time; the client works in the pod's namespace.
#pragma once

#include "src/attach/journal.h"
#include "src/base/result.h"
#include "src/netlink/client.h"

#include <vector>

namespace railhead::attach {

// The default routes, in the main table, of the families that `wanted` has gateways for: those that
// will have to give way.
Result<std::vector<netlink::Route>> routesInTheWay(netlink::LinkClient& pod,
                                                   const std::vector<DefaultRouteRecord>& wanted);

// Removes every default route of these families and adds the wanted ones.
Result<void> takeDefaultRoutes(netlink::LinkClient& pod, const Attachment& attachment);

// Removes ours and adds those that were there before, as far as their links still are.
Result<void> giveDefaultRoutesBack(netlink::LinkClient& pod, const Attachment& attachment);

}  // namespace railhead::attach

// Which GID carries a rail. Chosen by address each time, never by a stored index: the table's order
// changes with every address that comes and goes.
#pragma once

#include "src/base/ip.h"
#include "src/base/result.h"
#include "src/verbs/types.h"

#include <vector>

namespace railhead::verbs {

// The RoCE v2 entry of `address`; kNotFound lists the addresses the device does have.
Result<GidEntry> gidForAddress(const DeviceInfo& device, const IpAddress& address);

// The RoCE v2 entries with an IPv4 address that stands in this network namespace, in table order.
std::vector<GidEntry> localIpv4Gids(const DeviceInfo& device);

}  // namespace railhead::verbs

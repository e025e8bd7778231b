// Whether traffic can pass over a rail now. Pure; thread-safe.
#pragma once

#include "src/discover/node.h"

#include <string>

namespace railhead::advertise {

// Why it cannot, in words for the operator; empty when it can: its VF has a driver, and its PF is
// up with carrier and, where it has RDMA devices, an active port. `known`: the same node as it was
// last seen (discover::NodeMemory), for the names of what shows none.
std::string railTrouble(const discover::Node& node, const discover::Node& known,
                        const discover::Rail& rail);

}  // namespace railhead::advertise

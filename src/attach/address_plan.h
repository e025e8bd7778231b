// Which address a VF has: a pure function of configuration and position, so that nothing is
// allocated, nothing leaks and no two nodes hand out the same one. Thread-safe.
#pragma once

#include "src/attach/config.h"

#include <cstdint>

namespace railhead::attach {

// Where this node's addresses begin, where that is known later than the agent serves.
class NodeOrdinal {
 public:
  virtual ~NodeOrdinal() = default;
  // kUnavailable, with why, while it is not known. From memory; thread-safe.
  virtual Result<int> ordinal() = 0;
};

// subnet.network() + 1 + nodeOrdinal x railSetsPerNode + railSetIndex, with the subnet's length.
// kExhausted, with the numbers, when the index is not below railSetsPerNode or the subnet ends
// before it.
Result<IpPrefix> railAddress(const IpPrefix& subnet, const AddressPlanConfig& plan,
                             int railSetIndex);

// Whether a pod may ask for `address` of `subnet` by itself: it is neither the network's own nor
// the IPv4 broadcast address, and belongs to no VF of the configured nodes (at least of this one).
bool isAssignable(const IpPrefix& subnet, const IpAddress& address, const AddressPlanConfig& plan);

// Addresses a plan can use in `subnet`: without the network's own and the IPv4 broadcast address.
std::uint64_t usableAddresses(const IpPrefix& subnet);

// kInvalidArgument when the subnet cannot hold the configured nodes (at least this one).
Result<void> checkCapacity(const IpPrefix& subnet, const AddressPlanConfig& plan);

}  // namespace railhead::attach

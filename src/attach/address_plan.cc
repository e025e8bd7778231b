#include "src/attach/address_plan.h"

#include <limits>

namespace railhead::attach {
namespace {

constexpr std::uint64_t kFirst = 1;  // offset of the first address that is handed out

std::string plural(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : noun.ends_with("s") ? "es" : "s");
}

std::uint64_t addressesOfVfs(const AddressPlanConfig& plan) {
  const int nodes = plan.nodes > 0 ? plan.nodes : plan.nodeOrdinal + 1;
  return static_cast<std::uint64_t>(nodes) * static_cast<std::uint64_t>(plan.railSetsPerNode);
}

}  // namespace

std::uint64_t usableAddresses(const IpPrefix& subnet) {
  const int hostBits = subnet.address.bits() - subnet.length;
  const std::uint64_t reserved = subnet.address.v6 ? 1 : 2;
  if (hostBits >= 64) return std::numeric_limits<std::uint64_t>::max() - reserved;
  const std::uint64_t all = std::uint64_t{1} << hostBits;
  return all > reserved ? all - reserved : 0;
}

Result<IpPrefix> railAddress(const IpPrefix& subnet, const AddressPlanConfig& plan,
                             int railSetIndex) {
  if (railSetIndex < 0 || railSetIndex >= plan.railSetsPerNode) {
    return Error(ErrorCode::kExhausted,
                 "rail set " + std::to_string(railSetIndex) +
                     " has no address: railSetsPerNode is " + std::to_string(plan.railSetsPerNode),
                 "raise railSetsPerNode on every node, or create fewer VFs");
  }
  const std::uint64_t slot = static_cast<std::uint64_t>(plan.nodeOrdinal) *
                                 static_cast<std::uint64_t>(plan.railSetsPerNode) +
                             static_cast<std::uint64_t>(railSetIndex);
  if (slot >= usableAddresses(subnet)) {
    return Error(
        ErrorCode::kExhausted,
        "subnet " + subnet.toString() + " has " + plural(usableAddresses(subnet), "address") +
            ": number " + std::to_string(slot + 1) + " is needed (node " +
            std::to_string(plan.nodeOrdinal) + ", rail set " + std::to_string(railSetIndex) + ")",
        "use a larger subnet");
  }
  RAILHEAD_TRY_ASSIGN(const IpAddress address, subnet.network().address.plus(kFirst + slot));
  return IpPrefix{address, subnet.length};
}

bool isAssignable(const IpPrefix& subnet, const IpAddress& address, const AddressPlanConfig& plan) {
  const IpAddress own = subnet.network().address;
  if (!subnet.contains(address) || address == own) return false;
  if (!address.v6 && subnet.length < 31 && address == subnet.broadcast()) return false;
  const auto lastOfVfs = own.plus(addressesOfVfs(plan));
  return !lastOfVfs.has_value() || address > *lastOfVfs;
}

Result<void> checkCapacity(const IpPrefix& subnet, const AddressPlanConfig& plan) {
  const int nodes = plan.nodes > 0 ? plan.nodes : plan.nodeOrdinal + 1;
  const std::uint64_t needed = addressesOfVfs(plan);
  if (needed <= usableAddresses(subnet)) return {};
  return Error(ErrorCode::kInvalidArgument,
               subnet.toString() + " has " + plural(usableAddresses(subnet), "usable address") +
                   ", " + plural(static_cast<std::uint64_t>(nodes), "node") + " with " +
                   plural(static_cast<std::uint64_t>(plan.railSetsPerNode), "rail set") +
                   " each need " + std::to_string(needed),
               "use a larger subnet");
}

}  // namespace railhead::attach

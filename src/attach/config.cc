#include "src/attach/config.h"

#include "src/attach/address_plan.h"
#include "src/attach/subnet_use.h"
#include "src/base/text.h"

#include <algorithm>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxConfiguredNetworks = 64;
constexpr std::size_t kMaxRails = 8;  // in one rail set
constexpr int kMaxNodes = 65536;
constexpr int kMaxSetsPerNode = 1024;
constexpr int kMinMtu = 1280;  // what IPv6 needs; below it RoCE has no useful path MTU either
constexpr int kMaxMtu = 65520;

Error invalid(const std::string& field, const std::string& value, const std::string& allowed) {
  return Error(ErrorCode::kInvalidArgument, field + " is " + value + ": " + allowed);
}

Result<void> checkRange(const std::string& field, int value, int low, int high) {
  if (value >= low && value <= high) return {};
  return invalid(field, std::to_string(value),
                 std::to_string(low) + " to " + std::to_string(high) + " are allowed");
}

Result<void> checkSubnets(const NetworkDefinition& network, const AddressPlanConfig& plan) {
  if (network.railSubnets.size() > kMaxRails) {
    return invalid("subnets", std::to_string(network.railSubnets.size()) + " rails",
                   "at most " + std::to_string(kMaxRails) + " are allowed");
  }
  for (std::size_t rail = 0; rail < network.railSubnets.size(); ++rail) {
    const auto& subnets = network.railSubnets[rail];
    const std::string field = "subnets[" + std::to_string(rail) + "]";
    const auto v6 = std::count_if(subnets.begin(), subnets.end(),
                                  [](const IpPrefix& subnet) { return subnet.address.v6; });
    if (v6 > 1 || static_cast<std::ptrdiff_t>(subnets.size()) - v6 > 1) {
      return invalid(field, std::to_string(subnets.size()) + " subnets",
                     "at most one IPv4 and one IPv6 subnet are allowed for each rail");
    }
    for (const IpPrefix& subnet : subnets) {
      if (subnet.network() != subnet) {
        return invalid(field, subnet.toString(),
                       "its host bits must be zero, as in " + subnet.network().toString());
      }
      RAILHEAD_TRY(checkCapacity(subnet, plan).addContext(field));
    }
  }
  return {};
}

}  // namespace

std::string_view rdmaUseName(RdmaUse use) {
  switch (use) {
    case RdmaUse::kNone:
      return "none";
    case RdmaUse::kDevice:
      return "device";
    case RdmaUse::kSoft:
      return "soft";
  }
  return "none";
}

Result<RdmaUse> parseRdmaUse(std::string_view text) {
  for (const RdmaUse use : {RdmaUse::kNone, RdmaUse::kDevice, RdmaUse::kSoft}) {
    if (text == rdmaUseName(use)) return use;
  }
  return invalid("rdma", inQuotes(text), "none, device or soft is allowed");
}

Result<void> validate(const NetworkDefinition& network, const AddressPlanConfig& addresses) {
  if (network.name.empty() || network.name.size() > 253)
    return invalid("name", inQuotes(network.name), "1 to 253 characters are needed");
  if (network.resourceName.size() > 253)
    return invalid("resourceName", inQuotes(network.resourceName), "at most 253 bytes are allowed");
  if (network.mtu != 0) RAILHEAD_TRY(checkRange("mtu", network.mtu, kMinMtu, kMaxMtu));
  return checkSubnets(network, addresses);
}

Result<void> validate(const AttachConfig& config) {
  const AddressPlanConfig& plan = config.addresses;
  RAILHEAD_TRY(checkRange("railSetsPerNode", plan.railSetsPerNode, 1, kMaxSetsPerNode));
  RAILHEAD_TRY(checkRange("nodes", plan.nodes, 0, kMaxNodes));
  const int lastNode = plan.nodes > 0 ? plan.nodes - 1 : kMaxNodes - 1;
  RAILHEAD_TRY(checkRange("nodeOrdinal", plan.nodeOrdinal, 0, lastNode));
  if (config.networks.size() > kMaxConfiguredNetworks) {
    return invalid("networks", std::to_string(config.networks.size()) + " entries",
                   "at most " + std::to_string(kMaxConfiguredNetworks) + " are allowed");
  }
  std::vector<PlacedSubnet> all;
  for (std::size_t i = 0; i < config.networks.size(); ++i) {
    const NetworkDefinition& network = config.networks[i];
    const std::string field = "networks[" + std::to_string(i) + "]";
    RAILHEAD_TRY(validate(network, plan).addContext(field));
    for (std::size_t k = 0; k < i; ++k) {
      if (network.name == config.networks[k].name &&
          network.podNamespace == config.networks[k].podNamespace) {
        return invalid(field + ".name", inQuotes(network.name),
                       "networks[" + std::to_string(k) + "] has this name already");
      }
    }
    for (PlacedSubnet& subnet : subnetsOf(network, field)) all.push_back(std::move(subnet));
  }
  return checkOverlaps(all);
}

}  // namespace railhead::attach

#include "src/attach/rail_routing.h"

#include <algorithm>

namespace railhead::attach {
namespace {

std::uint32_t tableOf(int linkIndex) {
  return kRailRulePriority + static_cast<std::uint32_t>(linkIndex);
}

Result<void> unlessThere(Result<void> added) {
  if (!added.has_value() && added.error().code == ErrorCode::kAlreadyExists) return {};
  return added;
}

netlink::Rule ruleOf(const IpPrefix& address, int linkIndex) {
  return {address.address, tableOf(linkIndex), kRailRulePriority};
}

}  // namespace

Result<void> keepApart(netlink::LinkClient& pod, const RailRouting& rail) {
  RAILHEAD_TRY(pod.change(rail.linkIndex, {.strictArp = true}));
  for (const IpPrefix& address : rail.addresses) {
    netlink::Route subnet{.destination = address.network()};
    subnet.linkIndex = rail.linkIndex;
    subnet.table = tableOf(rail.linkIndex);
    subnet.source = address.address;
    RAILHEAD_TRY(unlessThere(pod.addRoute(subnet)));
    for (const IpAddress& gateway : rail.gateways) {
      if (gateway.v6 != address.address.v6 || !address.contains(gateway)) continue;
      netlink::Route out{.destination = {IpAddress{{}, gateway.v6}, 0}, .gateway = gateway};
      out.linkIndex = rail.linkIndex;
      out.table = tableOf(rail.linkIndex);
      RAILHEAD_TRY(unlessThere(pod.addRoute(out)));
    }
    RAILHEAD_TRY(unlessThere(pod.addRule(ruleOf(address, rail.linkIndex))));
  }
  return {};
}

Result<void> forget(netlink::LinkClient& pod, int linkIndex,
                    const std::vector<IpPrefix>& addresses) {
  RAILHEAD_TRY_ASSIGN(const auto rules, pod.rules());
  for (const netlink::Rule& rule : rules) {
    if (rule.priority != kRailRulePriority) continue;
    const bool ofLink = linkIndex != 0 && rule.table == tableOf(linkIndex);
    const bool ofAddress =
        std::any_of(addresses.begin(), addresses.end(),
                    [&](const IpPrefix& address) { return address.address == rule.source; });
    if (!ofLink && !ofAddress) continue;
    auto removed = pod.removeRule(rule);
    if (!removed.has_value() && removed.error().code != ErrorCode::kNotFound) return removed;
  }
  return {};
}

Result<void> checkApart(netlink::LinkClient& pod, const RailRouting& rail) {
  RAILHEAD_TRY_ASSIGN(const auto rules, pod.rules());
  for (const IpPrefix& address : rail.addresses) {
    if (std::find(rules.begin(), rules.end(), ruleOf(address, rail.linkIndex)) == rules.end()) {
      return Error(ErrorCode::kCheckFailed,
                   "the rule that keeps " + address.address.toString() + " on it is missing");
    }
  }
  return {};
}

}  // namespace railhead::attach

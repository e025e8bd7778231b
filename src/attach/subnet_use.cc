#include "src/attach/subnet_use.h"

#include "src/attach/address_plan.h"

#include <algorithm>
#include <map>

namespace railhead::attach {
namespace {

bool isPart(const IpPrefix& part, const IpPrefix& whole) {
  return part.length >= whole.length && whole.overlaps(part);
}

// Whether the route says that somebody has the subnet, or a part of it.
bool claims(const netlink::Route& route, const IpPrefix& subnet) {
  if (route.isDefault() || route.table != netlink::Route::kMainTable) return false;
  if (!subnet.overlaps(route.destination)) return false;
  if (isPart(route.destination, subnet) || !route.gateway) return true;
  return route.destination.contains(*route.gateway);  // a network behind its own router
}

std::string describe(const netlink::Route& route, const std::string& link) {
  return "a route to " + route.destination.toString() +
         (route.gateway ? " by " + route.gateway->toString() : "") + " through " + link;
}

}  // namespace

std::vector<PlacedSubnet> subnetsOf(const NetworkDefinition& network, const std::string& place) {
  std::vector<PlacedSubnet> all;
  for (std::size_t rail = 0; rail < network.railSubnets.size(); ++rail) {
    for (const IpPrefix& subnet : network.railSubnets[rail])
      all.push_back(
          {subnet, place + ".subnets[" + std::to_string(rail) + "]", network.resourceName, rail});
  }
  return all;
}

Result<void> checkOverlaps(const std::vector<PlacedSubnet>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (!all[i].subnet.overlaps(all[k].subnet)) continue;
      const bool alias = all[i].resource == all[k].resource && all[i].rail == all[k].rail &&
                         all[i].subnet == all[k].subnet && !all[i].resource.empty();
      if (alias) continue;
      return Error(ErrorCode::kInvalidArgument, all[i].place + " is " + all[i].subnet.toString() +
                                                    ": it overlaps " + all[k].subnet.toString() +
                                                    " of " + all[k].place +
                                                    "; every rail needs a subnet of its own");
    }
  }
  return {};
}

RailDevices railDevices(const std::vector<discover::RailSet>& sets) {
  RailDevices devices;
  for (const auto& set : sets) {
    for (const auto& rail : set.rails) {
      devices.pfs.insert(rail.pf.toString());
      devices.vfs.insert(rail.vf.toString());
    }
  }
  return devices;
}

Result<void> checkUnused(const std::vector<PlacedSubnet>& subnets, const AddressPlanConfig& plan,
                         netlink::LinkClient& links, const RailDevices& own,
                         const std::string& where) {
  if (subnets.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto routes, links.routes());
  std::map<int, netlink::Link> byIndex;
  for (const PlacedSubnet& placed : subnets) {
    for (const netlink::Route& route : routes) {
      if (!claims(route, placed.subnet)) continue;
      if (byIndex.empty()) {  // most nodes and pods have no such route
        RAILHEAD_TRY_ASSIGN(const auto all, links.links());
        for (const netlink::Link& link : all) byIndex[link.index] = link;
      }
      const netlink::Link& link = byIndex[route.linkIndex];
      const bool ofPf = own.pfs.contains(link.parentDevice);
      const bool taken = ofPf && route.source && placed.subnet.contains(*route.source) &&
                         !isAssignable(placed.subnet, *route.source, plan);
      if (!taken && (ofPf || own.vfs.contains(link.parentDevice))) continue;
      return Error(
          ErrorCode::kInvalidArgument,
          placed.place + " is " + placed.subnet.toString() + ": " + where + " has " +
              describe(route, link.name) +
              (taken ? " with " + route.source->toString() + ", which belongs to a VF" : ""),
          "give the rails subnets that nothing else uses");
    }
  }
  return {};
}

}  // namespace railhead::attach

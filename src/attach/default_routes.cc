#include "src/attach/default_routes.h"

#include <algorithm>

namespace railhead::attach {
namespace {

netlink::Route routeFor(const DefaultRouteRecord& wanted, int linkIndex) {
  netlink::Route route;
  route.destination = {IpAddress{{}, wanted.gateway.v6}, 0};
  route.gateway = wanted.gateway;
  route.linkIndex = linkIndex;
  return route;
}

Result<void> unless(ErrorCode tolerated, Result<void> outcome) {
  if (!outcome.has_value() && outcome.error().code == tolerated) return {};
  return outcome;
}

}  // namespace

Result<std::vector<netlink::Route>> routesInTheWay(netlink::LinkClient& pod,
                                                   const std::vector<DefaultRouteRecord>& wanted) {
  std::vector<netlink::Route> inTheWay;
  if (wanted.empty()) return inTheWay;
  RAILHEAD_TRY_ASSIGN(const auto routes, pod.routes());
  for (const netlink::Route& route : routes) {
    const bool family = std::any_of(wanted.begin(), wanted.end(), [&](const auto& one) {
      return one.gateway.v6 == route.destination.address.v6;
    });
    if (family && route.isDefault() && route.table == netlink::Route::kMainTable)
      inTheWay.push_back(route);
  }
  return inTheWay;
}

Result<void> takeDefaultRoutes(netlink::LinkClient& pod, const Attachment& attachment) {
  // Looked up again: a plugin may have added one.
  RAILHEAD_TRY_ASSIGN(const auto inTheWay, routesInTheWay(pod, attachment.defaultRoutes));
  for (const netlink::Route& route : inTheWay)
    RAILHEAD_TRY(unless(ErrorCode::kNotFound, pod.removeRoute(route)));
  for (const DefaultRouteRecord& wanted : attachment.defaultRoutes) {
    RAILHEAD_TRY_ASSIGN(const auto link, pod.link(wanted.ifname).addContext("default-route"));
    RAILHEAD_TRY(pod.addRoute(routeFor(wanted, link.index)).addContext("default-route"));
  }
  return {};
}

Result<void> giveDefaultRoutesBack(netlink::LinkClient& pod, const Attachment& attachment) {
  if (attachment.defaultRoutes.empty()) return {};
  for (const DefaultRouteRecord& ours : attachment.defaultRoutes) {
    const auto link = pod.link(ours.ifname);
    if (!link.has_value()) continue;  // it went, and its routes with it
    RAILHEAD_TRY(unless(ErrorCode::kNotFound, pod.removeRoute(routeFor(ours, link->index))));
  }
  RAILHEAD_TRY_ASSIGN(const auto links, pod.links());
  for (const netlink::Route& route : attachment.takenRoutes) {
    const bool there = std::any_of(links.begin(), links.end(), [&](const auto& link) {
      return link.index == route.linkIndex && link.up;
    });
    if (there) RAILHEAD_TRY(unless(ErrorCode::kAlreadyExists, pod.addRoute(route)));
  }
  return {};
}

}  // namespace railhead::attach

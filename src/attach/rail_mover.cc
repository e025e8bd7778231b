#include "src/attach/rail_mover.h"

#include "src/attach/failures.h"
#include "src/attach/rail_routing.h"
#include "src/attach/vf_settings.h"
#include "src/base/text.h"

#include <algorithm>

namespace railhead::attach {
namespace {

using netlink::Link;

constexpr std::size_t kMaxInterfaceName = 15;
constexpr std::string_view kAlias = "railhead:";
constexpr std::chrono::milliseconds kReturnPoll{10};
constexpr std::uint32_t kScopeLink = 253;  // RT_SCOPE_LINK, as a result's route may say

std::optional<Link> linkOf(const std::vector<Link>& links, const PciAddress& device) {
  const std::string wanted = device.toString();
  for (const Link& link : links) {
    if (link.parentDevice == wanted) return link;
  }
  return std::nullopt;
}

bool isNumbered(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && parseUnsigned(name.substr(prefix.size())).has_value();
}

bool hasPodsName(const std::string& name) {
  return isNumbered(name, "net") || isNumbered(name, "dev");
}

// Stays with the VF whatever becomes of its namespace and of our records. A pod that may change its
// interfaces may change it, too: no more than a name is taken from it.
std::string aliasFor(const RailRecord& rail) { return std::string(kAlias) + rail.hostName; }

std::optional<std::string> ownNameIn(const std::string& alias) {
  if (!alias.starts_with(kAlias)) return std::nullopt;
  std::string name = alias.substr(kAlias.size());
  return checkInterfaceName(name, "alias").has_value() ? std::optional(std::move(name))
                                                       : std::nullopt;
}

// What a VF has that no network set anything on.
netlink::VfChange plainSettings() {
  netlink::VfChange plain;
  plain.vlan = 0;
  plain.linkState = netlink::VfLinkState::kAuto;
  plain.minTxRate = 0;
  return withWholeGroups(plain);
}

}  // namespace

std::string plainVfName(const std::string& pfName, int vfIndex) {
  const std::string name = pfName + "v" + std::to_string(vfIndex);
  return name.size() <= kMaxInterfaceName ? name : name.substr(name.size() - kMaxInterfaceName);
}

bool isStray(const Link& link) {
  return ownNameIn(link.alias).has_value() || hasPodsName(link.name);
}

Result<RailMover> RailMover::open(os::Filesystem& files, const os::HostPaths& paths,
                                  os::NetnsOpener& netns, netlink::NetlinkOpener& netlink,
                                  os::Clock& clock) {
  RailMover mover;
  mover.files_ = &files;
  mover.paths_ = paths;
  mover.netns_ = &netns;
  mover.netlink_ = &netlink;
  mover.clock_ = &clock;
  RAILHEAD_TRY_ASSIGN(mover.home_, netns.current());
  RAILHEAD_TRY_ASSIGN(mover.host_, netlink.openLinks(nullptr));
  return mover;
}

Result<netlink::LinkClient*> RailMover::insideOf(const os::Netns& pod) {
  if (inside_ == nullptr || insideId_ != pod.id) {
    RAILHEAD_TRY_ASSIGN(inside_, netlink_->openLinks(&pod));
    insideId_ = pod.id;
  }
  return inside_.get();
}

Result<std::vector<Link>> RailMover::podLinks(const os::Netns& pod) {
  RAILHEAD_TRY_ASSIGN(netlink::LinkClient * inside, insideOf(pod));
  return inside->links();
}

Result<std::optional<Link>> RailMover::findOnHost(const PciAddress& device) {
  RAILHEAD_TRY_ASSIGN(const auto links, host_->links());
  return linkOf(links, device);
}

Result<std::optional<Link>> RailMover::findInPod(const PciAddress& device, const os::Netns& pod) {
  RAILHEAD_TRY_ASSIGN(const auto links, podLinks(pod));
  return linkOf(links, device);
}

Result<Link> RailMover::pfLink(const PciAddress& pf) {
  RAILHEAD_TRY_ASSIGN(const auto found, findOnHost(pf));
  if (found) return *found;
  return Error(ErrorCode::kUnavailable, "PF " + pf.toString() + " has no netdev on the host",
               "bind its driver");
}

Result<void> RailMover::survey(RailRecord& rail) {
  RAILHEAD_TRY_ASSIGN(const auto links, host_->links());
  const auto link = linkOf(links, rail.vf);
  if (!link) {
    return Error(ErrorCode::kUnavailable,
                 "VF " + rail.vf.toString() +
                     " has no netdev on the host: its driver is not bound, or another namespace "
                     "holds it");
  }
  rail.hostName = link->name;
  rail.alias = link->alias;
  if (const auto own = ownNameIn(link->alias)) {
    rail.hostName = *own;
    rail.alias.clear();
  } else if (const auto pf = linkOf(links, rail.pf); pf && hasPodsName(link->name)) {
    rail.hostName = plainVfName(pf->name, rail.vfIndex);
  }
  rail.mac = link->mac;
  rail.mtu = link->mtu;
  rail.up = link->up;
  if (rail.podMtu == 0) rail.podMtu = link->mtu;
  RAILHEAD_TRY(rememberVf(rail));
  return rememberRdma(rail, *link);
}

Result<void> RailMover::rememberVf(RailRecord& rail) {
  if (isEmpty(rail.vfInPod)) return {};
  rail.vfInPod = withWholeGroups(rail.vfInPod);
  RAILHEAD_TRY_ASSIGN(const Link pf, pfLink(rail.pf));
  RAILHEAD_TRY_ASSIGN(const auto vfs, host_->vfs(pf.index));
  for (const auto& vf : vfs) {
    if (vf.index == rail.vfIndex) {
      rail.vfBefore = selected(vf, rail.vfInPod);
      return {};
    }
  }
  return Error(
      ErrorCode::kUnsupported,
      "the driver of " + pf.name + " has no settings for VF " + std::to_string(rail.vfIndex),
      "remove vlan, trust, spoofchk, link_state and rates from the network");
}

Result<void> RailMover::setVf(const RailRecord& rail, const netlink::VfChange& wanted) {
  if (isEmpty(wanted)) return {};
  RAILHEAD_TRY_ASSIGN(const Link pf, pfLink(rail.pf));
  RAILHEAD_TRY_ASSIGN(const auto vfs, host_->vfs(pf.index));
  for (const auto& vf : vfs) {
    if (vf.index != rail.vfIndex) continue;
    const netlink::VfChange change = missing(vf, wanted);
    return isEmpty(change) ? Result<void>() : host_->changeVf(pf.index, rail.vfIndex, change);
  }
  return Error(ErrorCode::kNotFound,
               "VF " + std::to_string(rail.vfIndex) + " of " + pf.name + " is gone");
}

Result<void> RailMover::moveIn(const RailRecord& rail, const os::Netns& pod) {
  RAILHEAD_TRY(setVf(rail, rail.vfInPod));
  RAILHEAD_TRY_ASSIGN(const auto found, findOnHost(rail.vf));
  if (!found) return Error(ErrorCode::kUnavailable, "its netdev left the host meanwhile");
  if (found->up) RAILHEAD_TRY(host_->change(found->index, {.up = false}));
  if (found->alias != aliasFor(rail))
    RAILHEAD_TRY(host_->change(found->index, {.alias = aliasFor(rail)}));
  if (found->mac != rail.podMac()) {
    RAILHEAD_TRY(host_->change(found->index, {.mac = rail.podMac()})
                     .addContext("set MAC " + rail.podMac().toString()));
  }
  if (found->mtu != rail.podMtu) {
    RAILHEAD_TRY(host_->change(found->index, {.mtu = rail.podMtu})
                     .addContext("set MTU " + std::to_string(rail.podMtu)));
  }
  RAILHEAD_TRY(host_->move(found->index, pod, rail.podName));
  RAILHEAD_TRY_ASSIGN(netlink::LinkClient * inside, insideOf(pod));
  RAILHEAD_TRY_ASSIGN(const Link link, arrived(rail, pod));
  for (const IpPrefix& address : rail.addresses)
    RAILHEAD_TRY(inside->addAddress(link.index, address));
  return {};
}

Result<void> RailMover::bringUp(const RailRecord& rail, const os::Netns& pod) {
  RAILHEAD_TRY_ASSIGN(netlink::LinkClient * inside, insideOf(pod));
  RAILHEAD_TRY_ASSIGN(const Link link, arrived(rail, pod));
  RAILHEAD_TRY(inside->change(link.index, {.up = true}));
  RAILHEAD_TRY(addRoutes(rail, link.index));
  return keepApart(*inside, {link.index, rail.addresses, rail.gateways});
}

// Its index may be another one than on the host.
Result<Link> RailMover::arrived(const RailRecord& rail, const os::Netns& pod) {
  RAILHEAD_TRY_ASSIGN(auto link, findInPod(rail.vf, pod));
  if (!link) return Error(ErrorCode::kUnavailable, "its netdev left the pod meanwhile");
  return std::move(*link);
}

Result<void> RailMover::addRoutes(const RailRecord& rail, int linkIndex) {
  for (const ResultRoute& wanted : rail.routes) {
    netlink::Route route{.destination = wanted.destination, .gateway = wanted.gateway};
    const bool onLink = wanted.scope && *wanted.scope == kScopeLink;
    for (const IpAddress& gateway : rail.gateways) {
      if (!route.gateway && !onLink && gateway.v6 == route.destination.address.v6)
        route.gateway = gateway;
    }
    route.linkIndex = linkIndex;
    route.table = wanted.table.value_or(netlink::Route::kMainTable);
    route.priority = wanted.priority.value_or(0);
    auto added = inside_->addRoute(route);
    if (!added.has_value() && added.error().code != ErrorCode::kAlreadyExists) return added;
  }
  return {};
}

Result<Homecoming> RailMover::bringHome(const RailRecord& rail, const os::Netns* pod,
                                        std::chrono::milliseconds wait) {
  Failures failures;
  failures.add(removeSoftRoce(rail, pod));
  if (pod != nullptr) failures.add(forgetRules(rail, *pod));
  RAILHEAD_TRY_ASSIGN(auto link, findOnHost(rail.vf));
  if (!link && pod != nullptr) {
    RAILHEAD_TRY_ASSIGN(const auto inside, findInPod(rail.vf, *pod));
    if (inside) {
      // The kernel moves first and renames then: after an error the VF can be home all the same.
      auto left = leavePod(rail, *inside, *pod);
      RAILHEAD_TRY_ASSIGN(link, findOnHost(rail.vf));
      if (!link) failures.add(std::move(left));
    }
  }
  RAILHEAD_TRY(link ? Result<void>() : failures.outcome());
  if (!link) {
    RAILHEAD_TRY_ASSIGN(link, awaitReturn(rail, wait));
  }
  if (!link) {
    return files_->exists(paths_.pciDevice(rail.vf.toString())) ? Homecoming::kNotYet
                                                                : Homecoming::kAbsent;
  }
  // In a shared or dead namespace there is nothing to move: the kernel did.
  if (pod != nullptr) failures.add(moveRdmaHome(rail, *pod));
  failures.add(settleAtHome(rail, *link));
  failures.add(setVf(rail, rail.vfBefore));
  RAILHEAD_TRY(failures.outcome());
  return Homecoming::kHome;
}

Result<void> RailMover::forgetRules(const RailRecord& rail, const os::Netns& pod) {
  RAILHEAD_TRY_ASSIGN(netlink::LinkClient * inside, insideOf(pod));
  RAILHEAD_TRY_ASSIGN(const auto link, findInPod(rail.vf, pod));
  return forget(*inside, link ? link->index : 0, rail.addresses);
}

Result<void> RailMover::leavePod(const RailRecord& rail, const Link& link, const os::Netns& pod) {
  RAILHEAD_TRY_ASSIGN(netlink::LinkClient * inside, insideOf(pod));
  if (link.up) RAILHEAD_TRY(inside->change(link.index, {.up = false}));
  return inside->move(link.index, home_, freeHostName(rail));
}

// The VF's own name, unless something on the host took it in the meantime.
std::string RailMover::freeHostName(const RailRecord& rail) {
  const auto links = host_->links();
  if (!links.has_value()) return rail.hostName;
  const auto taken = [&](const std::string& name) {
    return std::any_of(links->begin(), links->end(), [&](const Link& link) {
      return link.name == name && link.parentDevice != rail.vf.toString();
    });
  };
  if (!taken(rail.hostName)) return rail.hostName;
  const auto pf = linkOf(*links, rail.pf);
  std::string other = plainVfName(pf ? pf->name : "vf", rail.vfIndex);
  for (int i = 0; taken(other) && i < 1000; ++i) other = "rhvf" + std::to_string(i);
  const std::string note = "VF " + rail.vf.toString() + " came back as " + other + ": the name " +
                           rail.hostName + " is taken";
  if (notes_.empty() || notes_.back() != note) notes_.push_back(note);
  return other;
}

Result<std::optional<Link>> RailMover::awaitReturn(const RailRecord& rail,
                                                   std::chrono::milliseconds wait) {
  const auto deadline = clock_->now() + wait;
  while (clock_->now() < deadline && files_->exists(paths_.pciDevice(rail.vf.toString()))) {
    clock_->sleepFor(kReturnPoll);
    RAILHEAD_TRY_ASSIGN(auto link, findOnHost(rail.vf));
    if (link) return link;
  }
  return std::optional<Link>();
}

Result<void> RailMover::settleAtHome(const RailRecord& rail, const Link& link) {
  Failures failures;
  bool up = link.up;
  const std::string name = link.name == rail.hostName ? link.name : freeHostName(rail);
  const bool otherMac = link.mac != rail.mac && !rail.mac.isZero();
  if (up && (link.name != name || otherMac || !rail.up)) {
    RAILHEAD_TRY(host_->change(link.index, {.up = false}));
    up = false;
  }
  if (link.name != name) failures.add(host_->change(link.index, {.name = name}));
  if (otherMac) failures.add(host_->change(link.index, {.mac = rail.mac}));
  if (link.mtu != rail.mtu) failures.add(host_->change(link.index, {.mtu = rail.mtu}));
  if (link.alias != rail.alias) failures.add(host_->change(link.index, {.alias = rail.alias}));
  if (rail.up && !up) failures.add(host_->change(link.index, {.up = true}));
  return failures.outcome();
}

Result<void> RailMover::verify(const RailRecord& rail, const os::Netns& pod) {
  const auto differs = [&](const std::string& what) {
    return Error(ErrorCode::kCheckFailed,
                 "interface " + rail.podName + " (VF " + rail.vf.toString() + "): " + what);
  };
  RAILHEAD_TRY_ASSIGN(const auto link, findInPod(rail.vf, pod));
  if (!link) return differs("it is not in the pod");
  if (link->name != rail.podName) return differs("it is named " + link->name);
  if (!link->up) return differs("it is down");
  if (link->mac != rail.podMac()) {
    return differs("its MAC is " + link->mac.toString() + ", not " + rail.podMac().toString());
  }
  if (link->mtu != rail.podMtu) {
    return differs("its MTU is " + std::to_string(link->mtu) + ", not " +
                   std::to_string(rail.podMtu));
  }
  RAILHEAD_TRY_ASSIGN(netlink::LinkClient * inside, insideOf(pod));
  RAILHEAD_TRY_ASSIGN(const auto present, inside->addresses(link->index));
  for (const IpPrefix& address : rail.addresses) {
    const bool found = std::any_of(present.begin(), present.end(),
                                   [&](const auto& have) { return have.prefix == address; });
    if (!found) return differs("address " + address.toString() + " is missing");
  }
  if (const auto apart = checkApart(*inside, {link->index, rail.addresses, rail.gateways});
      !apart.has_value()) {
    return differs(apart.error().message);
  }
  if (rail.rdmaDevice.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const auto rdma, netlink_->openRdma(&pod));
  RAILHEAD_TRY_ASSIGN(const auto devices, rdma->devices());
  const bool found = std::any_of(devices.begin(), devices.end(), [&](const auto& device) {
    return device.name == rail.rdmaDevice;
  });
  if (!found) return differs("its RDMA device " + rail.rdmaDevice + " is not there");
  return {};
}

Result<std::optional<RailMover::Renamed>> RailMover::bringStrayHome(const PciAddress& vf,
                                                                    const PciAddress& pf,
                                                                    int vfIndex) {
  RAILHEAD_TRY_ASSIGN(const auto link, findOnHost(vf));
  if (!link || !isStray(*link)) return std::optional<Renamed>();
  RailRecord rail;
  rail.vf = vf;
  rail.pf = pf;
  rail.vfIndex = vfIndex;
  RAILHEAD_TRY_ASSIGN(const Link pfNetdev, pfLink(pf));
  rail.hostName = ownNameIn(link->alias).value_or(plainVfName(pfNetdev.name, vfIndex));
  const std::string name = freeHostName(rail);
  if (link->up) RAILHEAD_TRY(host_->change(link->index, {.up = false}));
  RAILHEAD_TRY_ASSIGN(const auto vfs, host_->vfs(pfNetdev.index));
  const bool hasSettings =
      std::any_of(vfs.begin(), vfs.end(), [&](const auto& one) { return one.index == vfIndex; });
  if (hasSettings) RAILHEAD_TRY(setVf(rail, plainSettings()));
  if (link->name != name) RAILHEAD_TRY(host_->change(link->index, {.name = name}));
  // Last: until then it is a stray.
  if (!link->alias.empty()) RAILHEAD_TRY(host_->change(link->index, {.alias = ""}));
  return std::optional(Renamed{link->name, name});
}

}  // namespace railhead::attach

// The netlink face of FakeKernel.
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <cerrno>

namespace railhead::testing_support {

using netlink::LinkChange;
using netlink::VfChange;

class FakeLinks final : public netlink::LinkClient {
 public:
  FakeLinks(FakeKernel& kernel, std::uint64_t space) : kernel_(kernel), space_(space) {}

  Result<std::vector<netlink::Link>> links() override {
    if (space_ == FakeKernel::kHost) {
      if (const auto due = kernel_.dueAtListing()) due();
    }
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeKernel::Space* space, here("list links"));
    std::vector<netlink::Link> result;
    for (const auto& [index, link] : space->links) result.push_back(valueOf(link));
    return result;
  }

  Result<netlink::Link> link(const std::string& name) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeKernel::Space* space, here("find link " + name));
    for (const auto& [index, link] : space->links) {
      if (link.name == name) return valueOf(link);
    }
    return Error::fromErrno(ENODEV, "find link " + name);
  }

  Result<void> change(int index, const LinkChange& change) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(FakeLink * link, own(index, "change link"));
    if (change.mtu || change.mac || change.name || change.alias) {
      std::string what = "change link " + link->name + ":";
      if (change.mtu) what += " mtu " + std::to_string(*change.mtu);
      if (change.mac) what += " mac " + change.mac->toString();
      if (change.name) what += " name " + *change.name;
      if (change.alias) what += " alias '" + *change.alias + "'";
      RAILHEAD_TRY(kernel_.change(what));
      if (change.mtu && (*change.mtu < 68 || *change.mtu > 9216))
        return Error::fromErrno(EINVAL, what);
      if ((change.mac || change.name) && link->up) return Error::fromErrno(EBUSY, what);
      if (change.name && *change.name != link->name) {
        RAILHEAD_TRY_ASSIGN(const FakeKernel::Space* space, here(what));
        if (kernel_.freeName(*space, *change.name) != *change.name)
          return Error::fromErrno(EEXIST, what);
        link->name = *change.name;
      }
      if (change.mtu) link->mtu = *change.mtu;
      if (change.mac) link->mac = *change.mac;
      if (change.alias) link->alias = *change.alias;
    }
    if (change.strictArp) {
      RAILHEAD_TRY(kernel_.change("set ARP of link " + link->name));
      link->strictArp = *change.strictArp;
    }
    if (change.up) {
      RAILHEAD_TRY(kernel_.change((*change.up ? "set up link " : "set down link ") + link->name));
      link->up = *change.up;
      if (!link->up) kernel_.removeRoutesOf(kernel_.spaces_[space_], index);
    }
    kernel_.render();
    return {};
  }

  Result<void> move(int index, const os::Netns& target, const std::string& name) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeLink* link, own(index, "move link"));
    const std::string what = "move link " + link->name + " as " + name;
    RAILHEAD_TRY(kernel_.change(what));
    const auto space = kernel_.spaces_.find(target.id.inode);
    if (space == kernel_.spaces_.end()) return Error::fromErrno(EINVAL, what);
    const bool sameSpace = target.id.inode == space_;
    if (!(sameSpace && link->name == name) && kernel_.freeName(space->second, name) != name) {
      return Error::fromErrno(EEXIST, what);
    }
    kernel_.moveLink(index, space_, target.id.inode, name);
    kernel_.render();
    return {};
  }

  Result<std::vector<netlink::VfSettings>> vfs(int pfIndex) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeLink* link, own(pfIndex, "read VFs"));
    std::vector<netlink::VfSettings> result;
    const auto pf = kernel_.pfs_.find(link->pci);
    if (pf == kernel_.pfs_.end()) return result;
    for (const auto& [index, vf] : pf->second.vfs) result.push_back(vf);
    return result;
  }

  Result<std::vector<netlink::VfTraffic>> vfTraffic(int pfIndex) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeLink* link, own(pfIndex, "read VFs"));
    std::vector<netlink::VfTraffic> result;
    const auto pf = kernel_.pfs_.find(link->pci);
    if (pf == kernel_.pfs_.end()) return result;
    for (const auto& [index, vf] : pf->second.vfs) {
      const auto counted = pf->second.traffic.find(index);
      if (counted != pf->second.traffic.end()) result.push_back(counted->second);
    }
    return result;
  }

  Result<void> changeVf(int pfIndex, int vf, const VfChange& change) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeLink* link, own(pfIndex, "change VF"));
    const auto pf = kernel_.pfs_.find(link->pci);
    if (pf == kernel_.pfs_.end()) return Error::fromErrno(EOPNOTSUPP, "change VF on " + link->name);
    const auto found = pf->second.vfs.find(vf);
    const std::string what = "set VF " + std::to_string(vf) + " on " + link->name;
    if (found == pf->second.vfs.end()) return Error::fromErrno(EINVAL, what);
    return apply(found->second, change, pf->second.spec, what);
  }

  Result<std::vector<netlink::Address>> addresses(int linkIndex) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeLink* link, own(linkIndex, "list addresses"));
    std::vector<netlink::Address> result;
    for (const auto& address : link->addresses) result.push_back({linkIndex, address});
    return result;
  }

  Result<void> addAddress(int linkIndex, const IpPrefix& address) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(FakeLink * link, own(linkIndex, "add address"));
    const std::string what = "add address " + address.toString() + " to " + link->name;
    RAILHEAD_TRY(kernel_.change(what));
    if (std::find(link->addresses.begin(), link->addresses.end(), address) !=
        link->addresses.end()) {
      return Error::fromErrno(EEXIST, what);
    }
    link->addresses.push_back(address);
    kernel_.render();
    return {};
  }

  Result<void> removeAddress(int linkIndex, const IpPrefix& address) override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(FakeLink * link, own(linkIndex, "remove address"));
    const std::string what = "remove address " + address.toString() + " from " + link->name;
    RAILHEAD_TRY(kernel_.change(what));
    if (std::erase(link->addresses, address) == 0)
      return Error(ErrorCode::kNotFound, what + ": not there");
    kernel_.render();
    return {};
  }

  Result<std::vector<netlink::Route>> routes() override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeKernel::Space* space, here("list routes"));
    return space->routes;
  }

  Result<void> addRoute(const netlink::Route& route) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "add route " + route.destination.toString();
    RAILHEAD_TRY_ASSIGN(const FakeLink* link, own(route.linkIndex, what));
    RAILHEAD_TRY_ASSIGN(FakeKernel::Space * space, here(what));
    RAILHEAD_TRY(kernel_.change(what + " on " + link->name));
    if (!link->up) return Error::fromErrno(ENETDOWN, what);
    const auto near = [&](const IpPrefix& own) { return own.contains(*route.gateway); };
    if (route.gateway && std::none_of(link->addresses.begin(), link->addresses.end(), near))
      return Error::fromErrno(ENETUNREACH, what);
    netlink::Route added = route;
    added.destination = added.destination.network();
    if (added.destination.address.v6 && added.priority == 0) added.priority = 1024;
    for (const auto& other : space->routes) {
      if (other.destination == added.destination && other.table == added.table &&
          other.priority == added.priority) {
        return Error::fromErrno(EEXIST, what);
      }
    }
    space->routes.push_back(added);
    return {};
  }

  Result<void> removeRoute(const netlink::Route& route) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "remove route " + route.destination.toString();
    RAILHEAD_TRY_ASSIGN(FakeKernel::Space * space, here(what));
    RAILHEAD_TRY(kernel_.change(what));
    const auto same = [&](const netlink::Route& other) {
      return other.destination == route.destination.network() && other.table == route.table &&
             other.linkIndex == route.linkIndex && other.gateway == route.gateway &&
             (route.priority == 0 || other.priority == route.priority);
    };
    const auto found = std::find_if(space->routes.begin(), space->routes.end(), same);
    if (found == space->routes.end()) return Error::fromErrno(ESRCH, what);
    space->routes.erase(found);
    return {};
  }

  Result<std::vector<netlink::Rule>> rules() override {
    const std::lock_guard lock(kernel_.mutex_);
    RAILHEAD_TRY_ASSIGN(const FakeKernel::Space* space, here("list rules"));
    return space->rules;
  }

  Result<void> addRule(const netlink::Rule& rule) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "add rule from " + rule.source.toString();
    RAILHEAD_TRY_ASSIGN(FakeKernel::Space * space, here(what));
    RAILHEAD_TRY(kernel_.change(what));
    if (std::find(space->rules.begin(), space->rules.end(), rule) != space->rules.end())
      return Error::fromErrno(EEXIST, what);
    space->rules.push_back(rule);
    return {};
  }

  Result<void> removeRule(const netlink::Rule& rule) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "remove rule from " + rule.source.toString();
    RAILHEAD_TRY_ASSIGN(FakeKernel::Space * space, here(what));
    RAILHEAD_TRY(kernel_.change(what));
    if (std::erase(space->rules, rule) == 0) return Error::fromErrno(ENOENT, what);
    return {};
  }

 private:
  netlink::Link valueOf(const FakeLink& link) const {
    return {link.index,     link.name, link.mac,
            link.mtu,       link.up,   link.up && link.carrier,
            link.kind,      link.pci,  permanentMac(link),
            link.strictArp, link.alias};
  }

  // A PF's stays what it was made with; VFs and software links have none.
  Mac permanentMac(const FakeLink& link) const {
    const auto pf = kernel_.pfs_.find(link.pci);
    return pf == kernel_.pfs_.end() ? Mac{} : *Mac::parse(pf->second.spec.mac);
  }

  Result<FakeKernel::Space*> here(const std::string& what) {
    const auto space = kernel_.spaces_.find(space_);
    if (space == kernel_.spaces_.end()) return Error::fromErrno(ENODEV, what);
    return &space->second;
  }

  Result<FakeLink*> own(int index, const std::string& what) {
    std::uint64_t space = 0;
    FakeLink* link = kernel_.findLink(index, &space);
    if (link == nullptr || space != space_)
      return Error::fromErrno(ENODEV, what + " " + std::to_string(index));
    return link;
  }

  Result<void> apply(netlink::VfSettings& vf, const VfChange& change, const FakePfSpec& spec,
                     const std::string& what) {
    if (change.mac) {
      RAILHEAD_TRY(kernel_.change(what + ": mac " + change.mac->toString()));
      vf.mac = *change.mac;
    }
    if (change.vlan || change.vlanQos || change.vlanProtocol) {
      RAILHEAD_TRY(kernel_.change(what + ": vlan " + std::to_string(change.vlan.value_or(0))));
      vf.vlan = change.vlan.value_or(0);
      vf.vlanQos = change.vlanQos.value_or(0);
      vf.vlanProtocol = change.vlanProtocol.value_or(0x8100);
    }
    if (change.spoofCheck) {
      RAILHEAD_TRY(
          kernel_.change(what + (*change.spoofCheck ? ": spoofchk on" : ": spoofchk off")));
      if (!spec.spoofCheckSupported) return Error::fromErrno(EOPNOTSUPP, what + ": spoof check");
      vf.spoofCheck = *change.spoofCheck;
    }
    if (change.trust) {
      RAILHEAD_TRY(kernel_.change(what + (*change.trust ? ": trust on" : ": trust off")));
      if (!spec.trustSupported) return Error::fromErrno(EOPNOTSUPP, what + ": trust");
      vf.trust = *change.trust;
    }
    if (change.linkState) {
      RAILHEAD_TRY(kernel_.change(what + ": link state"));
      vf.linkState = *change.linkState;
    }
    if (change.minTxRate || change.maxTxRate) {
      RAILHEAD_TRY(kernel_.change(what + ": rate"));
      vf.minTxRate = change.minTxRate.value_or(0);
      vf.maxTxRate = change.maxTxRate.value_or(0);
    }
    return {};
  }

  FakeKernel& kernel_;
  std::uint64_t space_;
};

class FakeRdmaLinks final : public netlink::RdmaClient {
 public:
  FakeRdmaLinks(FakeKernel& kernel, std::uint64_t space) : kernel_(kernel), space_(space) {}

  Result<std::vector<netlink::RdmaDevice>> devices() override {
    const std::lock_guard lock(kernel_.mutex_);
    std::vector<netlink::RdmaDevice> result;
    for (const auto& [index, device] : kernel_.rdma_) {
      if (visible(device)) result.push_back({index, device.name, device.guid});
    }
    return result;
  }

  Result<std::vector<netlink::RdmaPort>> ports() override {
    const std::lock_guard lock(kernel_.mutex_);
    std::vector<netlink::RdmaPort> result;
    for (const auto& [index, device] : kernel_.rdma_) {
      if (!visible(device)) continue;
      netlink::RdmaPort port{index, device.name, 1, "", 0, false};
      for (const auto& [linkIndex, link] : kernel_.spaces_[space_].links) {
        const bool own =
            linkIndex == device.softLink || (!device.pci.empty() && link.pci == device.pci);
        if (own) port = {index, device.name, 1, link.name, linkIndex, link.up && link.carrier};
      }
      result.push_back(port);
    }
    return result;
  }

  Result<void> addSoftRoce(const std::string& name, const std::string& netdev) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "add soft-RoCE device " + name + " on " + netdev;
    RAILHEAD_TRY(kernel_.change(what));
    for (const auto& [index, device] : kernel_.rdma_) {
      if (device.name == name) return Error::fromErrno(EEXIST, what);
    }
    for (const auto& [index, link] : kernel_.spaces_[space_].links) {
      if (link.name != netdev) continue;
      const std::uint32_t id = kernel_.nextRdma_++;
      const bool shared = kernel_.mode_ == netlink::RdmaNetnsMode::kShared;
      kernel_.rdma_[id] = {id, name,  Guid::fromMac(link.mac),
                           "", index, shared ? space_ : FakeKernel::kHost};
      kernel_.render();
      return {};
    }
    return Error::fromErrno(ENODEV, what);
  }

  Result<void> removeSoftRoce(std::uint32_t deviceIndex) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "remove soft-RoCE device " + std::to_string(deviceIndex);
    RAILHEAD_TRY(kernel_.change(what));
    const auto device = kernel_.rdma_.find(deviceIndex);
    if (device == kernel_.rdma_.end()) return Error::fromErrno(ENODEV, what);
    if (device->second.softLink == 0) return Error::fromErrno(EINVAL, what);
    if (device->second.isBeingRemoved()) return Error::fromErrno(EDEADLK, what);
    kernel_.rdma_.erase(device);
    kernel_.render();
    return {};
  }

  Result<void> move(std::uint32_t deviceIndex, const os::Netns& target) override {
    const std::lock_guard lock(kernel_.mutex_);
    const std::string what = "move RDMA device " + std::to_string(deviceIndex);
    RAILHEAD_TRY(kernel_.change(what));
    const auto device = kernel_.rdma_.find(deviceIndex);
    if (device == kernel_.rdma_.end() || device->second.netns != space_)
      return Error::fromErrno(ENODEV, what);
    if (kernel_.mode_ == netlink::RdmaNetnsMode::kShared) return Error::fromErrno(EOPNOTSUPP, what);
    if (!kernel_.spaces_.contains(target.id.inode)) return Error::fromErrno(EINVAL, what);
    device->second.netns = target.id.inode;
    kernel_.render();
    return {};
  }

  Result<netlink::RdmaNetnsMode> netnsMode() override {
    const std::lock_guard lock(kernel_.mutex_);
    return kernel_.mode_;
  }

 private:
  bool visible(const FakeRdma& device) const {
    return kernel_.mode_ == netlink::RdmaNetnsMode::kShared || device.netns == space_;
  }

  FakeKernel& kernel_;
  std::uint64_t space_;
};

Result<std::unique_ptr<netlink::LinkClient>> FakeKernel::openLinks(const os::Netns* netns) {
  return std::unique_ptr<netlink::LinkClient>(
      std::make_unique<FakeLinks>(*this, netns != nullptr ? netns->id.inode : kHost));
}

Result<std::unique_ptr<netlink::RdmaClient>> FakeKernel::openRdma(const os::Netns* netns) {
  const std::lock_guard lock(mutex_);
  if (!rdmaEnabled_)
    return Error(ErrorCode::kUnsupported, "open a netlink socket: no RDMA",
                 "load the kernel module ib_core");
  return std::unique_ptr<netlink::RdmaClient>(
      std::make_unique<FakeRdmaLinks>(*this, netns != nullptr ? netns->id.inode : kHost));
}

}  // namespace railhead::testing_support

// Looking into FakeKernel: what a test asks, and never changes.
#include "src/base/text.h"
#include "tests/support/fake_kernel.h"

#include <algorithm>
#include <set>

namespace railhead::testing_support {

std::vector<FakeLink> FakeKernel::links(const std::string& netns) const {
  const std::lock_guard lock(mutex_);
  std::vector<FakeLink> result;
  for (const auto& [id, space] : spaces_) {
    if (space.name != netns) continue;
    for (const auto& [index, link] : space.links) result.push_back(link);
  }
  return result;
}

std::optional<FakeLink> FakeKernel::link(const std::string& name, const std::string& netns) const {
  for (const auto& candidate : links(netns)) {
    if (candidate.name == name) return candidate;
  }
  return std::nullopt;
}

std::optional<FakeLink> FakeKernel::linkOf(const std::string& pci) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, space] : spaces_) {
    for (const auto& [index, link] : space.links) {
      if (link.pci == pci) return link;
    }
  }
  return std::nullopt;
}

std::string FakeKernel::netnsOf(const std::string& pci) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, space] : spaces_) {
    for (const auto& [index, link] : space.links) {
      if (link.pci == pci) return space.name;
    }
  }
  return "";
}

std::vector<FakeRdma> FakeKernel::rdmaDevices() const {
  const std::lock_guard lock(mutex_);
  std::vector<FakeRdma> result;
  for (const auto& [index, device] : rdma_) result.push_back(device);
  return result;
}

std::vector<netlink::Route> FakeKernel::routes(const std::string& netns) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, space] : spaces_) {
    if (space.name == netns) return space.routes;
  }
  return {};
}

std::vector<netlink::Rule> FakeKernel::rules(const std::string& netns) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, space] : spaces_) {
    if (space.name == netns) return space.rules;
  }
  return {};
}

netlink::VfSettings FakeKernel::vfSettings(const std::string& pfNetdev, int vf) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [pci, pf] : pfs_) {
    const auto found = pf.vfs.find(vf);
    if (pf.spec.netdev == pfNetdev && found != pf.vfs.end()) return found->second;
  }
  return {};
}

std::string FakeKernel::snapshot() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [id, space] : spaces_) {
    std::vector<std::string> lines;
    for (const auto& [index, link] : space.links) {
      std::string line = link.name + " mac=" + link.mac.toString() +
                         " mtu=" + std::to_string(link.mtu) + (link.up ? " up" : " down") +
                         (link.strictArp ? " strict-arp" : "") + " pci=" + link.pci +
                         (link.alias.empty() ? "" : " alias=" + link.alias);
      for (const auto& address : link.addresses) line += " " + address.toString();
      lines.push_back(line);
    }
    for (const auto& route : space.routes) {
      lines.push_back("route " + route.destination.toString() + " via " +
                      (route.gateway ? route.gateway->toString() : "link") + " table " +
                      std::to_string(route.table) + " on " + space.links.at(route.linkIndex).name);
    }
    for (const auto& rule : space.rules) {
      lines.push_back("rule from " + rule.source.toString() + " table " +
                      std::to_string(rule.table));
    }
    std::sort(lines.begin(), lines.end());
    text += "netns '" + space.name + "'\n  " + join(lines, "\n  ") + "\n";
  }
  for (const auto& [pci, pf] : pfs_) {
    for (const auto& [index, vf] : pf.vfs) {
      text += pci + " vf " + std::to_string(index) + " mac=" + vf.mac.toString() +
              " vlan=" + std::to_string(vf.vlan) + (vf.trust ? " trust" : "") +
              (vf.spoofCheck ? " spoofchk" : "") + "\n";
    }
  }
  std::set<std::string> devices;  // in an order that their numbers do not decide
  for (const auto& [index, device] : rdma_) {
    devices.insert("rdma " + (device.pci.empty() ? "soft " + device.name : device.pci) + " in " +
                   std::to_string(device.netns) + "\n");
  }
  for (const std::string& line : devices) text += line;
  return text;
}

}  // namespace railhead::testing_support

#include "src/advertise/inventory.h"

#include <algorithm>
#include <optional>

namespace railhead::advertise {
namespace {

std::string nameOf(const discover::Pf& pf) {
  return pf.netdev.empty() ? pf.pci.toString() : pf.netdev + " (" + pf.pci.toString() + ")";
}

// Why traffic cannot pass over this VF now; empty when it can.
std::string trouble(const discover::Pf* pf, const discover::Vf* vf, const discover::Rail& rail) {
  if (pf == nullptr) return "PF " + rail.pf.toString() + " is gone";
  if (vf == nullptr)
    return "VF " + std::to_string(rail.vfIndex) + " of " + nameOf(*pf) + " is gone";
  if (vf->driver.empty()) return "VF " + vf->pci.toString() + " has no driver";
  if (!pf->up) return "PF " + nameOf(*pf) + " is down";
  if (!pf->carrier) return "PF " + nameOf(*pf) + " has no carrier: cable or switch port";
  for (const auto& device : pf->rdma) {
    if (!device.portState.empty() && device.portState != "ACTIVE") {
      return "the RDMA port of PF " + nameOf(*pf) + ", " + device.name + ", is " + device.portState;
    }
  }
  return {};
}

bool belongs(const discover::Pf* pf, const discover::Vf* vf, const discover::Rail& rail,
             const RailResourceConfig& resource) {
  if (resource.selectors.empty()) return true;
  if (pf == nullptr || vf == nullptr) return false;
  return std::any_of(
      resource.selectors.begin(), resource.selectors.end(),
      [&](const Selector& selector) { return selects(selector, *pf, *vf, rail.cage); });
}

// One device out of these rails; nothing when one of them belongs elsewhere.
std::optional<InventorySet> deviceOf(const discover::Node& node, std::string id, int index,
                                     const std::vector<discover::Rail>& rails,
                                     const RailResourceConfig& resource,
                                     const std::set<PciAddress>& taken) {
  InventorySet entry{std::move(id), index, {}, {}};
  for (const auto& rail : rails) {
    const discover::Pf* pf = discover::findPf(node, rail.pf);
    const discover::Vf* vf = pf != nullptr ? discover::findVf(*pf, rail.vfIndex) : nullptr;
    if (taken.contains(rail.vf) || !belongs(pf, vf, rail, resource)) return std::nullopt;
    InventoryRail known{
        rail, pf != nullptr ? pf->netdev : "", vf != nullptr ? vf->driver : "", {}, -1, false};
    if (vf != nullptr) {
      known.away = isAway(*vf);
      known.rdma = vf->rdma;
      known.numaNode = vf->numaNode;
    }
    if (entry.unhealthy.empty()) entry.unhealthy = trouble(pf, vf, rail);
    entry.rails.push_back(std::move(known));
  }
  return entry;
}

}  // namespace

const InventorySet* Inventory::find(const std::string& id) const {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.id == id; });
  return found == sets.end() ? nullptr : &*found;
}

Inventory takeInventory(const discover::Node& node, const std::vector<discover::RailSet>& sets,
                        const RailResourceConfig& resource, std::set<PciAddress>& taken) {
  Inventory inventory;
  const auto offer = [&](std::string id, int index, const std::vector<discover::Rail>& rails) {
    auto device = deviceOf(node, std::move(id), index, rails, resource, taken);
    if (!device) return;
    for (const auto& rail : rails) taken.insert(rail.vf);
    inventory.sets.push_back(std::move(*device));
  };
  for (const auto& set : sets) {
    if (resource.kind == ResourceKind::kRailSet) {
      offer(set.id, set.index, set.rails);
    } else {
      for (const auto& rail : set.rails) offer(rail.vf.toString(), set.index, {rail});
    }
  }
  return inventory;
}

}  // namespace railhead::advertise

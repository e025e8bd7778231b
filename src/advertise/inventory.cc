#include "src/advertise/inventory.h"

#include <algorithm>

namespace railhead::advertise {
namespace {

const discover::Vf* findVf(const discover::Pf& pf, int index) {
  const auto found =
      std::find_if(pf.vfs.begin(), pf.vfs.end(), [&](const auto& vf) { return vf.index == index; });
  return found == pf.vfs.end() ? nullptr : &*found;
}

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
  return {};
}

}  // namespace

const InventorySet* Inventory::find(const std::string& id) const {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.id == id; });
  return found == sets.end() ? nullptr : &*found;
}

Inventory takeInventory(const discover::Node& node, const std::vector<discover::RailSet>& sets) {
  Inventory inventory;
  for (const auto& set : sets) {
    InventorySet entry{set.id, set.index, {}, {}};
    for (const auto& rail : set.rails) {
      const discover::Pf* pf = discover::findPf(node, rail.pf);
      const discover::Vf* vf = pf != nullptr ? findVf(*pf, rail.vfIndex) : nullptr;
      InventoryRail known{
          rail, pf != nullptr ? pf->netdev : "", vf != nullptr ? vf->driver : "", {}, -1};
      if (vf != nullptr) {
        known.rdma = vf->rdma;
        known.numaNode = vf->numaNode;
      }
      if (entry.unhealthy.empty()) entry.unhealthy = trouble(pf, vf, rail);
      entry.rails.push_back(std::move(known));
    }
    inventory.sets.push_back(std::move(entry));
  }
  return inventory;
}

}  // namespace railhead::advertise

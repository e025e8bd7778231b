#include "src/advertise/inventory.h"

#include "src/advertise/rail_health.h"

#include <algorithm>
#include <optional>

namespace railhead::advertise {
namespace {

bool belongs(const discover::Pf& pf, const discover::Vf& vf, const discover::Rail& rail,
             const RailResourceConfig& resource) {
  return resource.selectors.empty() ||
         std::any_of(
             resource.selectors.begin(), resource.selectors.end(),
             [&](const Selector& selector) { return selects(selector, pf, vf, rail.cage); });
}

InventoryRail railOf(const discover::Node& node, const discover::Rail& rail, const discover::Pf& pf,
                     const discover::Vf& vf) {
  InventoryRail known{rail, pf.netdev, "", {}, vf.numaNode, false};
  const discover::Pf* nowPf = discover::findPf(node, rail.pf);
  const discover::Vf* now = nowPf != nullptr ? discover::findVf(*nowPf, rail.vfIndex) : nullptr;
  if (now == nullptr) return known;
  known.driver = now->driver;
  known.away = isAway(*now);
  known.rdma = now->rdma;
  known.numaNode = now->numaNode;
  return known;
}

// One device out of these rails; nothing when one of them belongs elsewhere.
std::optional<InventorySet> deviceOf(const RailPicture& picture, const discover::RailSet& set,
                                     const RailResourceConfig& resource,
                                     const std::set<PciAddress>& taken) {
  InventorySet entry{set.id, set.index, {}, {}};
  for (const auto& rail : set.rails) {
    const discover::Pf* pf = discover::findPf(picture.known, rail.pf);
    const discover::Vf* vf = pf != nullptr ? discover::findVf(*pf, rail.vfIndex) : nullptr;
    if (vf == nullptr || taken.contains(rail.vf) || !belongs(*pf, *vf, rail, resource))
      return std::nullopt;
    entry.rails.push_back(railOf(picture.node, rail, *pf, *vf));
    if (entry.unhealthy.empty()) entry.unhealthy = railTrouble(picture.node, picture.known, rail);
  }
  return entry;
}

}  // namespace

const InventorySet* Inventory::find(const std::string& id) const {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.id == id; });
  return found == sets.end() ? nullptr : &*found;
}

Inventory takeInventory(const RailPicture& picture, const RailResourceConfig& resource,
                        std::set<PciAddress>& taken) {
  Inventory inventory;
  const bool whole = resource.kind == ResourceKind::kRailSet;
  for (const auto& set : whole ? picture.rails.offered : picture.rails.singles) {
    auto device = deviceOf(picture, set, resource, taken);
    if (!device) continue;
    for (const auto& rail : set.rails) taken.insert(rail.vf);
    const std::size_t wanted = whole ? resource.rails : 0;
    if (wanted == 0 || set.rails.size() == wanted) {
      inventory.sets.push_back(std::move(*device));
    } else {
      inventory.withheld.push_back({set.index, "rail set " + set.id + " has " +
                                                   std::to_string(set.rails.size()) +
                                                   " rails, and those of " + resource.name +
                                                   " have " + std::to_string(wanted)});
    }
  }
  return inventory;
}

}  // namespace railhead::advertise

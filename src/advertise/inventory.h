// What this node can hand out now: who is healthy, why not. Plain values, made from a discovered
// node; kept apart from publishing, so that a ResourceSlice publisher can be added.
#pragma once

#include "src/advertise/resource.h"
#include "src/discover/node.h"
#include "src/discover/twins.h"

#include <set>
#include <string>
#include <vector>

namespace railhead::advertise {

struct InventoryRail {
  discover::Rail rail;
  std::string pfNetdev;
  std::string driver;                      // of the VF
  std::vector<discover::RdmaDevice> rdma;  // hardware RDMA devices of the VF; none with soft-RoCE
  int numaNode = -1;
  bool away = false;  // in a pod, where its RDMA device may be, too
};

// One device of a resource.
struct InventorySet {
  std::string id;  // discover::RailSet::id, or the VF's address for a single rail
  int index = 0;   // of the rail set: what the address formula uses
  std::vector<InventoryRail> rails;
  std::string unhealthy;  // empty: healthy; else the reason, in words for the operator
};

struct Inventory {
  std::vector<InventorySet> sets;  // by index, then by rail
  const InventorySet* find(const std::string& id) const;
};

// The devices of one resource. A VF belongs to one resource: those in `taken` are left out, those
// that are given are added to it, so the resource that stands first in the configuration has them.
// A device is healthy when the VFs have drivers, and their PFs are up with carrier and, where they
// have RDMA devices, an active port.
Inventory takeInventory(const discover::Node& node, const std::vector<discover::RailSet>& sets,
                        const RailResourceConfig& resource, std::set<PciAddress>& taken);

}  // namespace railhead::advertise

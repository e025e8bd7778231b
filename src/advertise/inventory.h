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
  std::string driver;                      // of the VF, now
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
  // Those that are not of the resource's number of rails.
  std::vector<discover::WithheldSet> withheld;
  const InventorySet* find(const std::string& id) const;
};

// The node as it is, as it was last seen, and what it can hand out.
struct RailPicture {
  const discover::Node& node;
  const discover::Node& known;  // completed by discover::NodeMemory; `rails` are made of this one
  const discover::RailSets& rails;
};

// The devices of one resource. A VF belongs to one resource: those in `taken` are left out, those
// that are given are added to it, so the resource that stands first in the configuration has them.
// What a device belongs to is decided by what its functions last showed, so that one that lost its
// driver stays where it is, unhealthy; whether it is healthy by what is there (rail_health.h).
Inventory takeInventory(const RailPicture& picture, const RailResourceConfig& resource,
                        std::set<PciAddress>& taken);

}  // namespace railhead::advertise

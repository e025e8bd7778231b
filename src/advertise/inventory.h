// What this node can hand out now: rail sets, who is healthy, why not. Plain values, made from a
// discovered node; kept apart from publishing, so that a ResourceSlice publisher can be added.
#pragma once

#include "src/discover/node.h"
#include "src/discover/twins.h"

#include <string>
#include <vector>

namespace railhead::advertise {

struct InventoryRail {
  discover::Rail rail;
  std::string pfNetdev;
  std::string driver;                      // of the VF
  std::vector<discover::RdmaDevice> rdma;  // hardware RDMA devices of the VF; none with soft-RoCE
  int numaNode = -1;
};

struct InventorySet {
  std::string id;  // discover::RailSet::id
  int index = 0;
  std::vector<InventoryRail> rails;
  std::string unhealthy;  // empty: healthy; else the reason, in words for the operator
};

struct Inventory {
  std::vector<InventorySet> sets;  // by index
  const InventorySet* find(const std::string& id) const;
};

// A set is healthy when every rail's VF has a driver and its PF is up with carrier.
Inventory takeInventory(const discover::Node& node, const std::vector<discover::RailSet>& sets);

}  // namespace railhead::advertise

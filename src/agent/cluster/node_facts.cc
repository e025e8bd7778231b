#include "src/agent/cluster/node_facts.h"

#include <utility>

namespace railhead::agent {

std::vector<DeviceHealth> deviceHealth(const std::vector<OfferStatus>& rails,
                                       const GpuStatus& gpus) {
  std::vector<DeviceHealth> all;
  for (const auto& offer : rails) {
    for (const auto& set : offer.inventory.sets)
      all.push_back({offer.resource, set.id, set.unhealthy});
  }
  for (const auto& resource : gpus.resources) {
    for (const auto& device : resource.devices)
      all.push_back({resource.resource, device.unit.uuid, device.reason});
  }
  return all;
}

Labels nodeLabels(const std::vector<OfferStatus>& rails, Labels gpus) {
  constexpr std::size_t kMaxName = 63 - 6;  // of a label, less ".count"
  for (const auto& offer : rails) {
    const std::string name = offer.resource.substr(offer.resource.find('/') + 1);
    const auto& sets = offer.inventory.sets;
    if (sets.empty() || name.size() > kMaxName) continue;
    gpus["railhead.io/" + name + ".count"] = std::to_string(sets.size());
    gpus["railhead.io/" + name + ".rails"] = std::to_string(sets.front().rails.size());
  }
  return gpus;
}

}  // namespace railhead::agent

#include "src/attach/devices.h"

#include "src/base/text.h"

#include <map>

namespace railhead::attach {
namespace {

// The devices of one resource that a pod holds, and how many of them are given away.
struct Holding {
  std::vector<std::string> ids;
  std::size_t used = 0;
};

Error tooFew(const NetworkDefinition& network, const DeviceQuestion& pod, const Holding& holding) {
  return Error(ErrorCode::kExhausted,
               "pod " + pod.podNamespace + "/" + pod.pod + " holds " +
                   std::to_string(holding.ids.size()) + " of resource " +
                   quoted(network.resourceName) + ", one for each network of it is needed (" +
                   std::to_string(holding.used + 1) + ")",
               "request " + network.resourceName + " in the pod's resource limits");
}

}  // namespace

Result<discover::RailSet> findRailSet(RailCatalog& catalog, const std::string& id) {
  const auto sets = catalog.railSets();
  for (const auto& set : sets) {
    if (set.id == id) return set;
  }
  if (const auto pci = PciAddress::parse(id); pci.has_value()) {
    for (const auto& set : sets) {
      for (const auto& rail : set.rails) {
        if (rail.vf == *pci) return discover::RailSet{rail.vf.toString(), set.index, {rail}};
      }
    }
  }
  return Error(ErrorCode::kNotFound, "device " + quoted(id, 160) +
                                         " is not a rail set of this node, which has " +
                                         std::to_string(sets.size()));
}

Result<std::vector<NetworkChoice>> chooseRailSets(const std::vector<NetworkSelection>& selections,
                                                  const DeviceQuestion& pod,
                                                  NetworkCatalog& networks, PodDevices& devices,
                                                  RailCatalog& catalog) {
  std::map<std::string, Holding> holdings;
  std::vector<NetworkChoice> choices;
  for (const NetworkSelection& selection : selections) {
    RAILHEAD_TRY_ASSIGN(NetworkDefinition network,
                        networks.find(selection.networkNamespace, selection.name));
    const std::string where = "network " + selection.qualifiedName();
    auto found = holdings.find(network.resourceName);
    if (found == holdings.end()) {
      RAILHEAD_TRY_ASSIGN(
          auto ids,
          devices.idsOf(pod.podNamespace, pod.pod, network.resourceName).addContext(where));
      found = holdings.emplace(network.resourceName, Holding{std::move(ids), 0}).first;
    }
    Holding& holding = found->second;
    if (holding.used >= holding.ids.size()) return tooFew(network, pod, holding).addContext(where);
    RAILHEAD_TRY_ASSIGN(discover::RailSet set,
                        findRailSet(catalog, holding.ids[holding.used]).addContext(where));
    ++holding.used;
    choices.push_back({selection, std::move(network), std::move(set)});
  }
  return choices;
}

}  // namespace railhead::attach

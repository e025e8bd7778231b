#include "src/attach/devices.h"

#include "src/base/text.h"

#include <map>

namespace railhead::attach {
namespace {

// The devices that a pod holds, and how many of each resource are given away.
class HoldingBook {
 public:
  HoldingBook(const DeviceQuestion& pod, PodDevices& devices) : pod_(pod), devices_(devices) {}

  // The pod's next device of `resource`. Without one: kExhausted when `needed`, else nothing.
  Result<std::string> take(const std::string& resource, bool needed) {
    auto found = holdings_.find(resource);
    if (found == holdings_.end()) {
      RAILHEAD_TRY_ASSIGN(auto ids, devices_.idsOf(pod_.podNamespace, pod_.pod, resource));
      found = holdings_.emplace(resource, Holding{std::move(ids), 0}).first;
    }
    Holding& holding = found->second;
    if (holding.used < holding.ids.size()) return holding.ids[holding.used++];
    if (!needed) return std::string();
    return Error(ErrorCode::kExhausted,
                 "pod " + pod_.podNamespace + "/" + pod_.pod + " holds " +
                     std::to_string(holding.ids.size()) + " of resource " + quoted(resource) +
                     ", one for each network of it is needed (" + std::to_string(holding.used + 1) +
                     ")",
                 "request " + resource + " in the pod's resource limits");
  }

 private:
  struct Holding {
    std::vector<std::string> ids;
    std::size_t used = 0;
  };
  const DeviceQuestion& pod_;
  PodDevices& devices_;
  std::map<std::string, Holding> holdings_;
};

Error withoutResource() {
  return Error(ErrorCode::kInvalidArgument, "it says neither whose devices it uses nor which one",
               "annotate the NetworkAttachmentDefinition with k8s.v1.cni.cncf.io/resourceName");
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

std::string deviceForPlugin(const std::string& id) {
  const std::string first = id.substr(0, id.find('+'));
  return PciAddress::parse(first).has_value() ? first : id;
}

Result<std::vector<NetworkChoice>> chooseDevices(const std::vector<NetworkSelection>& selections,
                                                 const DeviceQuestion& pod,
                                                 NetworkCatalog& networks, PodDevices& devices,
                                                 RailCatalog& catalog) {
  HoldingBook book(pod, devices);
  std::vector<NetworkChoice> choices;
  for (const NetworkSelection& selection : selections) {
    NetworkChoice choice{selection, {}, {}, {}, {}};
    RAILHEAD_TRY_ASSIGN(choice.network, networks.find(selection.networkNamespace, selection.name));
    const std::string where = "network " + selection.qualifiedName();
    const auto& rails = choice.network.rails;
    std::string id;
    if (!choice.network.resourceName.empty()) {
      RAILHEAD_TRY_ASSIGN(
          id, book.take(choice.network.resourceName, rails.has_value()).addContext(where));
    } else if (rails) {
      id = rails->deviceId;
      if (id.empty()) return withoutResource().addContext(where);
    }
    if (rails) {
      RAILHEAD_TRY_ASSIGN(choice.rails, findRailSet(catalog, id).addContext(where));
    } else {
      choice.deviceId = deviceForPlugin(id);
      choice.heldDevice = std::move(id);
    }
    choices.push_back(std::move(choice));
  }
  return choices;
}

}  // namespace railhead::attach

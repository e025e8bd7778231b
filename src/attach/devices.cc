#include "src/attach/devices.h"

#include "src/base/text.h"

#include <map>
#include <optional>

namespace railhead::attach {
namespace {

// The devices that a pod holds, and how many of each resource are given away.
class HoldingBook {
 public:
  HoldingBook(const DeviceQuestion& pod, PodDevices& devices) : pod_(pod), devices_(devices) {}

  // The pod's next device of `resource`. Without one: kExhausted when `needed`, else nothing.
  Result<std::string> take(const std::string& resource, bool needed) {
    if (!held_) {  // kubelet limits how often it is asked
      RAILHEAD_TRY_ASSIGN(held_, devices_.heldBy(pod_.podNamespace, pod_.pod));
    }
    const auto& ids = (*held_)[resource];
    std::size_t& used = used_[resource];
    if (used < ids.size()) return ids[used++];
    if (!needed) return std::string();
    return Error(ErrorCode::kExhausted,
                 "pod " + pod_.podNamespace + "/" + pod_.pod + " holds " +
                     std::to_string(ids.size()) + " of resource " + inQuotes(resource) +
                     ", one for each network of it is needed (" + std::to_string(used + 1) + ")",
                 "request " + resource + " in the pod's resource limits");
  }

 private:
  const DeviceQuestion& pod_;
  PodDevices& devices_;
  std::optional<PodDevices::Held> held_;
  std::map<std::string, std::size_t> used_;
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
    const std::string wanted = pci->toString();
    for (auto& single : catalog.singleRails()) {
      if (single.id == wanted) return std::move(single);
    }
  }
  return Error(ErrorCode::kNotFound, "device " + inQuotes(id, 160) +
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

#include "src/attach/attach_plan.h"

#include "src/attach/address_plan.h"
#include "src/base/text.h"

#include <algorithm>

namespace railhead::attach {
namespace {

constexpr int kMaxAutomaticNames = 1000;

Result<void> refuseUnsupported(const NetworkSelection& selection) {
  const auto refuse = [](const std::string& field, const std::string& value) {
    return Error(
        ErrorCode::kUnsupported,
        field + " is " + quoted(value) + ": a rail keeps the address that belongs to its VF",
        "remove " + field + " from the annotation");
  };
  if (!selection.ips.empty()) return refuse("ips", join(selection.ips, ","));
  if (!selection.mac.empty()) return refuse("mac", selection.mac);
  if (!selection.infinibandGuid.empty()) return refuse("infiniband-guid", selection.infinibandGuid);
  if (!selection.defaultRoute.empty())
    return refuse("default-route", join(selection.defaultRoute, ","));
  return {};
}

Result<std::vector<NetworkChoice>> chooseForDelegate(const CniRequest& request,
                                                     NetworkCatalog& networks,
                                                     RailCatalog& catalog) {
  RAILHEAD_TRY_ASSIGN(discover::RailSet rails,
                      findRailSet(catalog, request.deviceId).addContext("deviceID"));
  NetworkSelection selection{.networkNamespace = request.pod.podNamespace,
                             .name = request.networkName,
                             .interface = request.id.ifname};
  // A configuration that is complete in itself needs no catalogue entry.
  auto known = networks.find(selection.networkNamespace, selection.name);
  if (!known.has_value() && known.error().code != ErrorCode::kNotFound)
    return std::move(known).error();
  NetworkDefinition base;
  if (known.has_value()) {
    base = std::move(*known);
  } else {
    base.name = request.networkName;
    base.rdma = RdmaUse::kNone;
  }
  return std::vector<NetworkChoice>{
      {std::move(selection), request.inlineNetwork.over(std::move(base)), std::move(rails)}};
}

class NameGiver {
 public:
  explicit NameGiver(std::vector<std::string> taken) : taken_(std::move(taken)) {}

  Result<std::vector<std::string>> wanted(const std::string& first, std::size_t rails) {
    RAILHEAD_TRY_ASSIGN(auto names, railNames(first, rails));
    for (const std::string& name : names) {
      if (isTaken(name)) {
        return Error(ErrorCode::kAlreadyExists,
                     "interface " + quoted(name) + " exists in the pod already",
                     "choose another name with @NAME in the annotation");
      }
      taken_.push_back(name);
    }
    return names;
  }

  Result<std::vector<std::string>> automatic(std::size_t rails) {
    std::vector<std::string> names;
    for (int i = 1; i < kMaxAutomaticNames && names.size() < rails; ++i) {
      const std::string name = "net" + std::to_string(i);
      if (isTaken(name)) continue;
      taken_.push_back(name);
      names.push_back(name);
    }
    if (names.size() < rails)
      return Error(ErrorCode::kExhausted, "no free interface name netN is left in the pod");
    return names;
  }

 private:
  bool isTaken(const std::string& name) const {
    return std::find(taken_.begin(), taken_.end(), name) != taken_.end();
  }

  std::vector<std::string> taken_;
};

Result<std::vector<IpPrefix>> railAddresses(const NetworkChoice& choice, const discover::Rail& rail,
                                            const AddressPlanConfig& plan) {
  std::vector<IpPrefix> addresses;
  const auto& subnets = choice.network.railSubnets;
  if (subnets.empty()) return addresses;  // a network without addresses
  if (static_cast<std::size_t>(rail.cage) >= subnets.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "subnets has " + std::to_string(subnets.size()) + " entries: rail " +
                     std::to_string(rail.cage) + " of the rail set has none",
                 "give the network one subnet for each rail");
  }
  for (const IpPrefix& subnet : subnets[static_cast<std::size_t>(rail.cage)]) {
    RAILHEAD_TRY_ASSIGN(const IpPrefix address, railAddress(subnet, plan, choice.rails.index));
    addresses.push_back(address);
  }
  return addresses;
}

Result<void> planChoice(const NetworkChoice& choice, const AddressPlanConfig& plan,
                        NameGiver& giver, std::vector<RailRecord>& records) {
  RAILHEAD_TRY(refuseUnsupported(choice.selection));
  const std::size_t rails = choice.rails.rails.size();
  RAILHEAD_TRY_ASSIGN(const auto names, choice.selection.interface.empty()
                                            ? giver.automatic(rails)
                                            : giver.wanted(choice.selection.interface, rails));
  for (std::size_t i = 0; i < rails; ++i) {
    const discover::Rail& rail = choice.rails.rails[i];
    RailRecord record;
    record.vf = rail.vf;
    record.pf = rail.pf;
    record.vfIndex = rail.vfIndex;
    record.rail = rail.cage;
    record.railSet = choice.rails.id;
    record.network = choice.selection.qualifiedName();
    record.podName = names[i];
    record.podMtu = choice.network.mtu;
    record.rdma = choice.network.rdma;
    record.vfInPod = choice.network.vf;
    RAILHEAD_TRY_ASSIGN(record.addresses, railAddresses(choice, rail, plan));
    records.push_back(std::move(record));
  }
  return {};
}

}  // namespace

Result<std::vector<NetworkChoice>> chooseNetworks(const CniRequest& request,
                                                  NetworkCatalog& networks, PodDevices& devices,
                                                  RailCatalog& catalog) {
  if (!request.deviceId.empty()) return chooseForDelegate(request, networks, catalog);
  if (request.networksAnnotation.empty()) return std::vector<NetworkChoice>();
  if (request.pod.name.empty() || request.pod.podNamespace.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "CNI_ARGS lacks K8S_POD_NAME or K8S_POD_NAMESPACE: they are needed to find the "
                 "pod's devices");
  }
  RAILHEAD_TRY_ASSIGN(const auto selections,
                      parseNetworks(request.networksAnnotation, request.pod.podNamespace));
  return chooseRailSets(selections, {request.pod.podNamespace, request.pod.name}, networks, devices,
                        catalog);
}

Result<std::vector<std::string>> railNames(const std::string& first, std::size_t rails) {
  const std::size_t stemEnd = first.find_last_not_of("0123456789") + 1;
  const std::string stem = first.substr(0, stemEnd);
  const auto number = parseUnsigned(first.substr(stemEnd));
  std::vector<std::string> names{first};
  for (std::size_t i = 1; i < rails; ++i) {
    names.push_back(stem + std::to_string(number ? *number + i : i + 1));
    RAILHEAD_TRY(checkInterfaceName(names.back(), "interface"));
  }
  return names;
}

Result<std::vector<RailRecord>> planRails(const CniRequest& request,
                                          const std::vector<NetworkChoice>& choices,
                                          const AddressPlanConfig& addresses,
                                          std::vector<std::string> taken) {
  // A chained plugin's own CNI_IFNAME is the primary interface.
  if (request.deviceId.empty()) taken.push_back(request.id.ifname);
  NameGiver giver(std::move(taken));
  std::vector<RailRecord> records;
  for (const NetworkChoice& choice : choices) {
    RAILHEAD_TRY(planChoice(choice, addresses, giver, records)
                     .addContext("network " + choice.selection.qualifiedName()));
  }
  return records;
}

}  // namespace railhead::attach

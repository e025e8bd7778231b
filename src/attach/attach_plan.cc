#include "src/attach/attach_plan.h"

#include "src/attach/address_plan.h"
#include "src/attach/device_info.h"
#include "src/attach/plugin_config.h"
#include "src/attach/result.h"
#include "src/base/text.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>

namespace railhead::attach {
namespace {

constexpr int kMaxAutomaticNames = 1000;

Result<std::vector<NetworkChoice>> chooseForDelegate(const CniRequest& request,
                                                     NetworkCatalog& networks,
                                                     RailCatalog& catalog) {
  RAILHEAD_TRY_ASSIGN(discover::RailSet rails,
                      findRailSet(catalog, request.deviceId).addContext("deviceID"));
  NetworkSelection selection{.networkNamespace = request.pod.podNamespace,
                             .name = request.networkName,
                             .interface = request.id.ifname};
  selection.ips = request.inlineNetwork.ips;
  RAILHEAD_TRY(checkIps(selection.ips));
  // A configuration that is complete in itself needs no catalogue entry.
  auto known = networks.find(selection.networkNamespace, selection.name);
  if (!known.has_value() && known.error().code != ErrorCode::kNotFound &&
      known.error().code != ErrorCode::kUnavailable) {
    return std::move(known).error();
  }
  NetworkDefinition base;
  if (known.has_value() && known->rails) {
    base = std::move(*known->rails);
  } else {
    base.name = request.networkName;
    base.rdma = RdmaUse::kNone;
  }
  Network network;
  network.cniVersion = request.cniVersion;
  network.rails = request.inlineNetwork.over(std::move(base));
  return std::vector<NetworkChoice>{
      {std::move(selection), std::move(network), std::move(rails), {}, {}}};
}

class NameGiver {
 public:
  explicit NameGiver(std::vector<std::string> taken) : taken_(std::move(taken)) {}

  Result<std::vector<std::string>> wanted(const std::string& first, std::size_t rails) {
    RAILHEAD_TRY_ASSIGN(auto names, railNames(first, rails));
    for (const std::string& name : names) {
      if (isTaken(name)) {
        return Error(ErrorCode::kAlreadyExists,
                     "interface " + inQuotes(name) + " exists in the pod already",
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

// A network's rails, as records.
class RailPlanner {
 public:
  RailPlanner(const NetworkChoice& choice, const AddressPlanConfig& plan)
      : choice_(choice), network_(*choice.network.rails), plan_(plan) {}

  Result<std::vector<RailRecord>> plan(const std::vector<std::string>& names) {
    RAILHEAD_TRY(validate(network_, plan_));
    if (!choice_.selection.infinibandGuid.empty())
      return guidRefused(choice_.selection.infinibandGuid);
    std::vector<RailRecord> records;
    for (std::size_t i = 0; i < names.size(); ++i) {
      RAILHEAD_TRY_ASSIGN(RailRecord record, planOne(choice_.rails.rails[i], names[i]));
      records.push_back(std::move(record));
    }
    if (network_.ipamType.empty()) RAILHEAD_TRY(placeIps(records));
    RAILHEAD_TRY(placeMac(records));
    return records;
  }

 private:
  Result<RailRecord> planOne(const discover::Rail& rail, const std::string& name) {
    RailRecord record;
    record.vf = rail.vf;
    record.pf = rail.pf;
    record.vfIndex = rail.vfIndex;
    record.rail = rail.cage;
    record.railSet = choice_.rails.id;
    record.network = choice_.selection.qualifiedName();
    record.podName = name;
    record.podMtu = network_.mtu;
    record.rdma = network_.rdma;
    record.vfInPod = network_.vf;
    const auto& subnets = network_.railSubnets;
    if (subnets.empty()) return record;  // a network without addresses, or with a plugin's
    if (static_cast<std::size_t>(rail.cage) >= subnets.size()) {
      return Error(ErrorCode::kInvalidArgument,
                   "subnets has " + std::to_string(subnets.size()) + " entries: rail " +
                       std::to_string(rail.cage) + " of the rail set has none",
                   "give the network one subnet for each rail");
    }
    for (const IpPrefix& subnet : subnets[static_cast<std::size_t>(rail.cage)]) {
      RAILHEAD_TRY_ASSIGN(const IpPrefix address, railAddress(subnet, plan_, choice_.rails.index));
      record.addresses.push_back(address);
    }
    return record;
  }

  // An address that the pod asks for takes the place of the VF's own in its subnet.
  Result<void> placeIps(std::vector<RailRecord>& records) {
    std::vector<const IpPrefix*> replaced;
    for (const std::string& text : choice_.selection.ips) {
      RAILHEAD_TRY_ASSIGN(const IpAddress ip,
                          IpAddress::parse(text.substr(0, text.find('/'))).addContext("ips"));
      IpPrefix* own = nullptr;
      for (RailRecord& record : records) {
        for (IpPrefix& address : record.addresses) {
          if (address.contains(ip)) own = &address;
        }
      }
      if (own == nullptr) return ipRefused(text, "it is in no subnet of the network");
      if (std::find(replaced.begin(), replaced.end(), own) != replaced.end())
        return ipRefused(text, "its rail has an address of this subnet already");
      const IpPrefix wanted{ip, own->length};
      if (text.find('/') != std::string::npos && text != wanted.toString()) {
        return ipRefused(text, "the subnet's prefix length is " + std::to_string(own->length));
      }
      if (wanted != *own) {
        if (!isAssignable(own->network(), ip, plan_))
          return ipRefused(text,
                           "it belongs to another VF, or is the subnet's own or broadcast address");
        *own = wanted;
      }
      replaced.push_back(own);
    }
    return {};
  }

  static Error ipRefused(const std::string& text, const std::string& why) {
    return Error(ErrorCode::kInvalidArgument, "ips has " + inQuotes(text) + ": " + why,
                 "ask for a free address of the rail's subnet, or leave ips out");
  }

  Result<void> placeMac(std::vector<RailRecord>& records) {
    const std::string& text = choice_.selection.mac;
    if (!text.empty()) {
      RAILHEAD_TRY_ASSIGN(records.front().vfInPod.mac, Mac::parse(text).addContext("mac"));
    }
    const auto& mac = records.front().vfInPod.mac;
    if (!mac || records.size() == 1) return {};
    return Error(ErrorCode::kInvalidArgument,
                 "mac is " + inQuotes(mac->toString()) + ": the rail set has " +
                     std::to_string(records.size()) + " interfaces, which cannot share one",
                 "use a network of single rails, or leave mac out");
  }

  const NetworkChoice& choice_;
  const NetworkDefinition& network_;
  const AddressPlanConfig& plan_;
};

// Moves each default route of a rail to the one of its rail set whose subnet has the gateway.
Result<void> placeDefaultRoutes(Attachment& attachment) {
  for (DefaultRouteRecord& route : attachment.defaultRoutes) {
    const auto named =
        std::find_if(attachment.rails.begin(), attachment.rails.end(),
                     [&](const RailRecord& rail) { return rail.podName == route.ifname; });
    if (named == attachment.rails.end()) continue;  // a plugin's interface
    const auto reaches = [&](const RailRecord& rail) {
      return rail.railSet == named->railSet &&
             std::any_of(rail.addresses.begin(), rail.addresses.end(),
                         [&](const IpPrefix& own) { return own.contains(route.gateway); });
    };
    const auto rail = std::find_if(attachment.rails.begin(), attachment.rails.end(), reaches);
    if (rail == attachment.rails.end()) {
      return Error(ErrorCode::kInvalidArgument,
                   "default-route is " + inQuotes(route.gateway.toString()) +
                       ": it is in no subnet of network " + named->network);
    }
    route.ifname = rail->podName;
  }
  return {};
}

// `static` answers for each rail of a rail set what it answers for the first. Other networks may
// have the same private addresses on fabrics of their own.
Result<void> checkDistinct(const std::vector<RailRecord>& rails) {
  std::map<std::tuple<std::string, std::string, IpAddress>, const RailRecord*> owners;
  for (const RailRecord& rail : rails) {
    for (const IpPrefix& given : rail.addresses) {
      const auto [owner, fresh] =
          owners.emplace(std::tuple(rail.network, rail.railSet, given.address), &rail);
      if (fresh || owner->second == &rail) continue;
      return Error(ErrorCode::kInvalidArgument,
                   "network " + rail.network + ": its IPAM plugin gives " + rail.podName +
                       " the address " + given.address.toString() + ", which " +
                       owner->second->podName + " of the same rail set has already",
                   "use subnets (addresses that belong to VFs) or an IPAM plugin that counts, like "
                   "host-local; or ask for one address of each rail in ips, and for none in the "
                   "network");
    }
  }
  return {};
}

class Planner {
 public:
  Planner(const CniRequest& request, const AttachConfig& config, NameGiver giver,
          Attachment& attachment)
      : request_(request), config_(config), giver_(std::move(giver)), attachment_(attachment) {}

  Result<void> add(const NetworkChoice& choice) {
    const std::string& wanted = choice.selection.interface;
    const std::size_t count = choice.network.rails ? choice.rails.rails.size() : 1;
    RAILHEAD_TRY_ASSIGN(const auto names,
                        wanted.empty() ? giver_.automatic(count) : giver_.wanted(wanted, count));
    PluginArguments arguments = argumentsOf(choice.selection);
    arguments.podAnnotations = request_.podAnnotations;
    arguments.deviceId = choice.deviceId;
    // A resource's devices are allotted: no pod takes one by naming it.
    if (!choice.network.resourceName.empty()) arguments.askedDeviceId.clear();
    arguments.files = pluginFiles(config_);
    RAILHEAD_TRY(choice.network.rails ? addRails(choice, names, std::move(arguments))
                                      : addPlugins(choice, names.front(), std::move(arguments)));
    return addDefaultRoutes(choice, names);
  }

 private:
  Result<void> addRails(const NetworkChoice& choice, const std::vector<std::string>& names,
                        PluginArguments arguments) {
    RAILHEAD_TRY_ASSIGN(auto records, RailPlanner(choice, config_.addresses).plan(names));
    if (!choice.network.rails->ipamType.empty()) RAILHEAD_TRY(addIpam(choice, names, arguments));
    // What the rails themselves took is not asked of the plugins behind them.
    arguments.ips.clear();
    arguments.mac.clear();
    for (std::size_t i = 0; i < names.size() && !choice.network.plugins.empty(); ++i) {
      ChainRecord chain = chainFor(choice, names[i]);
      arguments.deviceId = records[i].vf.toString();
      tellDeviceInfo(choice, chain, arguments);
      RAILHEAD_TRY_ASSIGN(chain.plugins, pluginInputs(choice.network.plugins, arguments));
      chain.behindRail = true;
      attachment_.delegates.push_back(std::move(chain));
    }
    std::move(records.begin(), records.end(), std::back_inserter(attachment_.rails));
    return {};
  }

  // One run for each rail; of several addresses, each rail gets the one at its place.
  Result<void> addIpam(const NetworkChoice& choice, const std::vector<std::string>& names,
                       const PluginArguments& given) {
    PluginConfig plugin{choice.network.rails->ipamType, choice.network.rails->ipamConfig};
    const std::string whole = plugin.config;
    const auto& ips = given.ips;
    if (!ips.empty() && names.size() > 1 && ips.size() != names.size()) {
      return Error(ErrorCode::kInvalidArgument,
                   "ips has " + std::to_string(ips.size()) + " entries: the rail set has " +
                       std::to_string(names.size()) + " rails, each needs one");
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      PluginArguments arguments;
      arguments.cniArguments = given.cniArguments;
      arguments.files = given.files;
      if (!ips.empty()) {
        arguments.ips = names.size() > 1 ? std::vector{ips[i]} : ips;
        RAILHEAD_TRY_ASSIGN(plugin.config, withIps(whole, arguments.ips));
      }
      ChainRecord chain = chainFor(choice, names[i]);
      RAILHEAD_TRY_ASSIGN(chain.plugins, pluginInputs({plugin}, arguments));
      chain.argumentsForAdd = argumentsForAdd(chain.plugins, arguments);
      attachment_.ipam.push_back(std::move(chain));
    }
    // To a delegate the runtime said all of them there: each rail's plugin is told its own.
    if (!request_.deviceId.empty() && !ips.empty())
      attachment_.cniArgs = withoutIps(attachment_.cniArgs);
    return {};
  }

  Result<void> addPlugins(const NetworkChoice& choice, const std::string& name,
                          PluginArguments arguments) {
    ChainRecord chain = chainFor(choice, name);
    chain.resource = choice.network.resourceName;
    chain.device = choice.heldDevice;
    tellDeviceInfo(choice, chain, arguments);
    RAILHEAD_TRY_ASSIGN(chain.plugins, pluginInputs(choice.network.plugins, arguments));
    chain.argumentsForAdd = argumentsForAdd(chain.plugins, arguments);
    attachment_.delegates.push_back(std::move(chain));
    return {};
  }

  static ChainRecord chainFor(const NetworkChoice& choice, const std::string& name) {
    ChainRecord chain;
    chain.network = choice.selection.qualifiedName();
    chain.ifname = name;
    chain.cniVersion = choice.network.cniVersion;
    chain.checkDisabled = choice.network.checkDisabled;
    return chain;
  }

  void tellDeviceInfo(const NetworkChoice& choice, ChainRecord& chain,
                      PluginArguments& arguments) const {
    chain.toldDeviceInfo = wantDeviceInfo(choice.network.plugins);
    if (!chain.toldDeviceInfo) return;
    arguments.deviceInfoFile =
        podDeviceInfoFile(config_.paths.deviceInfo, request_.id.containerId, chain.ifname);
  }

  Result<void> addDefaultRoutes(const NetworkChoice& choice,
                                const std::vector<std::string>& names) {
    for (const IpAddress& gateway : choice.selection.defaultRoute) {
      for (const DefaultRouteRecord& other : attachment_.defaultRoutes) {
        if (other.gateway.v6 != gateway.v6) continue;
        return Error(ErrorCode::kInvalidArgument,
                     "default-route is " + inQuotes(gateway.toString()) +
                         ": another network of the pod has one of this family already");
      }
      attachment_.defaultRoutes.push_back({names.front(), gateway});
    }
    // A plugin's addresses are known later.
    const bool known = choice.network.rails && choice.network.rails->ipamType.empty();
    return known ? placeDefaultRoutes(attachment_) : Result<void>();
  }

  const CniRequest& request_;
  const AttachConfig& config_;
  NameGiver giver_;
  Attachment& attachment_;
};

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
  return chooseDevices(selections, {request.pod.podNamespace, request.pod.name}, networks, devices,
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

Result<void> planAttachment(const CniRequest& request, const std::vector<NetworkChoice>& choices,
                            const AttachConfig& config, std::vector<std::string> taken,
                            Attachment& attachment) {
  // A chained plugin's own CNI_IFNAME is the primary interface.
  if (request.deviceId.empty()) taken.push_back(request.id.ifname);
  Planner planner(request, config, NameGiver(std::move(taken)), attachment);
  for (const NetworkChoice& choice : choices)
    RAILHEAD_TRY(planner.add(choice).addContext("network " + choice.selection.qualifiedName()));
  return {};
}

std::string pluginFiles(const AttachConfig& config) { return config.paths.state + "/plugins"; }

Result<void> takeIpamResults(Attachment& attachment) {
  for (const ChainRecord& chain : attachment.ipam) {
    const std::string what = "the result of IPAM plugin " + chain.plugins.front().type;
    RAILHEAD_TRY_ASSIGN(NetworkResult result, parseResult(chain.result, what));
    if (result.addresses.empty()) return Error(ErrorCode::kCorrupt, what + " has no address");
    for (RailRecord& rail : attachment.rails) {
      if (rail.podName != chain.ifname) continue;
      rail.addresses.clear();
      rail.gateways.clear();
      for (const ResultAddress& given : result.addresses) {
        rail.addresses.push_back(given.address);
        const bool first = std::none_of(
            rail.gateways.begin(), rail.gateways.end(),
            [&](const IpAddress& known) { return given.gateway && known.v6 == given.gateway->v6; });
        if (given.gateway && first) rail.gateways.push_back(*given.gateway);
      }
      rail.routes = std::move(result.routes);
      rail.dns = std::move(result.dns);
    }
  }
  RAILHEAD_TRY(checkDistinct(attachment.rails));
  return placeDefaultRoutes(attachment);
}

}  // namespace railhead::attach

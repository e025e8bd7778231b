#include "src/attach/networks.h"

#include "src/attach/request.h"
#include "src/base/guid.h"
#include "src/base/mac.h"
#include "src/base/text.h"
#include "src/json/json.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::array<std::string_view, 13> kElementKeys{
    "name",     "namespace",     "interface",    "interfaceRequest",
    "ips",      "mac",           "bandwidth",    "infiniband-guid",
    "cni-args", "default-route", "portMappings", "ipam-claim-reference",
    "deviceID"};
constexpr std::size_t kMaxIgnored = 8;     // named
constexpr std::size_t kMaxAddresses = 16;  // of one element
constexpr std::size_t kMaxPortMappings = 64;
constexpr std::size_t kMaxAskedDevice = 512;  // bytes

Error invalid(const std::string& field, const std::string& value, const std::string& allowed) {
  return Error(ErrorCode::kInvalidArgument, field + " is " + value + ": " + allowed);
}

bool isLabelCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// RFC 1123, as Kubernetes checks names: lower case, digits, '-', and '.' where `dots`.
bool isName(std::string_view text, std::size_t limit, bool dots) {
  if (text.empty() || text.size() > limit) return false;
  if (!isLabelCharacter(text.front()) || !isLabelCharacter(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return isLabelCharacter(c) || c == '-' || (dots && c == '.'); });
}

Result<void> checkNames(const NetworkSelection& selection) {
  if (!isName(selection.networkNamespace, 63, false)) {
    return invalid("namespace", inQuotes(selection.networkNamespace),
                   "1 to 63 lower-case letters, digits and '-' are allowed");
  }
  if (!isName(selection.name, 253, true)) {
    return invalid("name", inQuotes(selection.name),
                   "1 to 253 lower-case letters, digits, '-' and '.' are allowed");
  }
  if (!selection.interface.empty())
    RAILHEAD_TRY(checkInterfaceName(selection.interface, "interface"));
  return {};
}

// "ns/name@ifname", both optional parts, with blanks around each as Multus takes them; nothing
// behind '@' is no name.
Result<NetworkSelection> parseShort(std::string_view item, const std::string& podNamespace) {
  NetworkSelection selection{.networkNamespace = podNamespace};
  if (const auto at = item.find('@'); at != std::string_view::npos) {
    selection.interface = trim(item.substr(at + 1));
    if (selection.interface.find('@') != std::string::npos)
      return invalid("interface", inQuotes(selection.interface), "only one '@' is allowed");
    item = trim(item.substr(0, at));
  }
  if (const auto slash = item.find('/'); slash != std::string_view::npos) {
    selection.networkNamespace = trim(item.substr(0, slash));
    item = trim(item.substr(slash + 1));
  }
  selection.name = item;
  RAILHEAD_TRY(checkNames(selection));
  return selection;
}

Result<std::vector<std::string>> textList(const json::Value& element, std::string_view key) {
  std::vector<std::string> list;
  const json::Value* value = json::member(element, key);
  if (value == nullptr) return list;
  const auto strings = [&] {
    return std::all_of(value->begin(), value->end(),
                       [](const json::Value& item) { return item.is_string(); });
  };
  if (!value->is_array() || value->size() > kMaxAddresses || !strings()) {
    return invalid(std::string(key), json::shown(*value),
                   "a list of at most " + std::to_string(kMaxAddresses) + " strings is allowed");
  }
  for (const json::Value& item : *value) list.push_back(item.get<std::string>());
  return list;
}

// A PCI address or another name of a device. Plugins with NET_ADMIN make paths of it, so that it
// must not lead out of a folder.
Result<void> checkAskedDevice(const std::string& device) {
  const auto plain = [](char c) {
    return isLabelCharacter(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == ':' ||
           c == '-' || c == '+';  // of a rail set
  };
  if (!device.starts_with('.') && std::all_of(device.begin(), device.end(), plain)) return {};
  return invalid("deviceID", inQuotes(device),
                 "letters, digits, '.', '_', ':', '+' and '-' are allowed, not beginning with '.'");
}

Result<void> checkDetails(NetworkSelection& selection) {
  RAILHEAD_TRY(checkIps(selection.ips));
  if (!selection.mac.empty()) {
    RAILHEAD_TRY_ASSIGN(const Mac mac, parseInterfaceMac(selection.mac, "mac"));
    selection.mac = mac.toString();
  }
  if (!selection.infinibandGuid.empty())
    RAILHEAD_TRY(Guid::parse(selection.infinibandGuid).addContext("infiniband-guid"));
  return checkAskedDevice(selection.deviceId);
}

Result<void> readGateways(const json::Value& element, NetworkSelection& selection) {
  RAILHEAD_TRY_ASSIGN(const auto texts, textList(element, "default-route"));
  for (const std::string& text : texts) {
    RAILHEAD_TRY_ASSIGN(const IpAddress gateway,
                        IpAddress::parse(text).addContext("default-route"));
    for (const IpAddress& other : selection.defaultRoute) {
      if (other.v6 == gateway.v6) {
        return invalid("default-route", inQuotes(join(texts, ",")),
                       "at most one IPv4 and one IPv6 gateway are allowed");
      }
    }
    selection.defaultRoute.push_back(gateway);
  }
  return {};
}

Result<void> checkNumbers(const json::Value& object, const std::string& field,
                          const std::vector<std::string>& keys, std::uint64_t limit) {
  for (const std::string& key : keys) {
    const json::Value* value = json::member(object, key);
    if (value == nullptr) continue;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() > limit) {
      return invalid(field + "." + key, json::shown(*value),
                     "0 to " + std::to_string(limit) + " are allowed");
    }
  }
  return {};
}

Result<void> readBandwidth(const json::Value& element, NetworkSelection& selection) {
  const json::Value* value = json::member(element, "bandwidth");
  if (value == nullptr) return {};
  if (!value->is_object()) return invalid("bandwidth", json::shown(*value), "an object is needed");
  RAILHEAD_TRY(checkNumbers(*value, "bandwidth",
                            {"ingressRate", "ingressBurst", "egressRate", "egressBurst"},
                            std::uint64_t{INT64_MAX}));
  selection.bandwidth = json::dump(*value);
  return {};
}

Result<void> readPortMappings(const json::Value& element, NetworkSelection& selection) {
  const json::Value* list = json::member(element, "portMappings");
  if (list == nullptr) return {};
  if (!list->is_array() || list->size() > kMaxPortMappings) {
    return invalid("portMappings", json::shown(*list),
                   "a list of at most " + std::to_string(kMaxPortMappings) + " objects is allowed");
  }
  for (const json::Value& item : *list) {
    if (!item.is_object()) return invalid("portMappings", json::shown(item), "an object is needed");
    RAILHEAD_TRY(checkNumbers(item, "portMappings", {"hostPort", "containerPort"}, 65535));
    RAILHEAD_TRY_ASSIGN(const auto protocol, json::textMember(item, "protocol", 8));
    RAILHEAD_TRY_ASSIGN(const auto hostIp, json::textMember(item, "hostIP", 64));
    if (!hostIp.empty()) RAILHEAD_TRY(IpAddress::parse(hostIp).addContext("portMappings.hostIP"));
  }
  selection.portMappings = json::dump(*list);
  return {};
}

Result<void> readForPlugins(const json::Value& element, NetworkSelection& selection) {
  RAILHEAD_TRY(readBandwidth(element, selection));
  RAILHEAD_TRY(readPortMappings(element, selection));
  // Accepted as Multus does, which passes it on to no plugin either.
  RAILHEAD_TRY(json::textMember(element, "ipam-claim-reference", 253));
  const json::Value* arguments = json::member(element, "cni-args");
  if (arguments == nullptr) return {};
  if (!arguments->is_object())
    return invalid("cni-args", json::shown(*arguments), "an object is needed");
  selection.cniArguments = json::dump(*arguments);
  return {};
}

Result<NetworkSelection> parseElement(const json::Value& element, const std::string& podNamespace) {
  if (!element.is_object()) {
    return Error(ErrorCode::kInvalidArgument,
                 "it is " + json::shown(element) + ": expected an object with a name");
  }
  NetworkSelection selection;
  for (const auto& [key, value] : element.items()) {
    const bool known =
        std::find(kElementKeys.begin(), kElementKeys.end(), key) != kElementKeys.end();
    if (!known && selection.ignored.size() < kMaxIgnored)
      selection.ignored.push_back(inQuotes(key, 60));
  }
  RAILHEAD_TRY_ASSIGN(selection.name, json::textMember(element, "name", 253));
  RAILHEAD_TRY_ASSIGN(selection.networkNamespace, json::textMember(element, "namespace", 63));
  if (selection.networkNamespace.empty()) selection.networkNamespace = podNamespace;
  RAILHEAD_TRY_ASSIGN(selection.interface, json::textMember(element, "interface", 253));
  if (selection.interface.empty()) {
    // As Multus called it before 3.2, and still reads it.
    RAILHEAD_TRY_ASSIGN(selection.interface, json::textMember(element, "interfaceRequest", 253));
  }
  RAILHEAD_TRY(checkNames(selection));
  RAILHEAD_TRY_ASSIGN(selection.mac, json::textMember(element, "mac", 64));
  RAILHEAD_TRY_ASSIGN(selection.infinibandGuid, json::textMember(element, "infiniband-guid", 64));
  RAILHEAD_TRY_ASSIGN(selection.deviceId, json::textMember(element, "deviceID", kMaxAskedDevice));
  RAILHEAD_TRY_ASSIGN(selection.ips, textList(element, "ips"));
  RAILHEAD_TRY(readGateways(element, selection));
  RAILHEAD_TRY(readForPlugins(element, selection));
  RAILHEAD_TRY(checkDetails(selection));
  return selection;
}

Error tooMany(std::size_t count) {
  return Error(ErrorCode::kInvalidArgument, "it names " + std::to_string(count) +
                                                " networks: at most " +
                                                std::to_string(kMaxNetworks) + " are allowed");
}

Result<std::vector<NetworkSelection>> parseList(std::string_view text,
                                                const std::string& podNamespace) {
  RAILHEAD_TRY_ASSIGN(const json::Value list, json::parse(text, "it"));
  if (!list.is_array()) {
    return Error(ErrorCode::kInvalidArgument,
                 "it is " + json::shown(list) + ": expected a JSON list of objects");
  }
  if (list.size() > kMaxNetworks) return tooMany(list.size());
  std::vector<NetworkSelection> selections;
  for (std::size_t i = 0; i < list.size(); ++i) {
    RAILHEAD_TRY_ASSIGN(
        NetworkSelection selection,
        parseElement(list[i], podNamespace).addContext("network " + std::to_string(i + 1)));
    selections.push_back(std::move(selection));
  }
  return selections;
}

Result<std::vector<NetworkSelection>> parseShortList(std::string_view text,
                                                     const std::string& podNamespace) {
  const auto items = split(text, ',');
  if (items.size() > kMaxNetworks) return tooMany(items.size());
  std::vector<NetworkSelection> selections;
  for (std::size_t i = 0; i < items.size(); ++i) {
    RAILHEAD_TRY_ASSIGN(
        NetworkSelection selection,
        parseShort(trim(items[i]), podNamespace)
            .addContext("network " + std::to_string(i + 1) + " " + inQuotes(trim(items[i]))));
    selections.push_back(std::move(selection));
  }
  return selections;
}

}  // namespace

Result<void> checkIps(const std::vector<std::string>& ips) {
  for (const std::string& ip : ips) {
    const bool prefix = ip.find('/') != std::string::npos;
    if (prefix) {
      RAILHEAD_TRY(IpPrefix::parse(ip).addContext("ips"));
    } else {
      RAILHEAD_TRY(IpAddress::parse(ip).addContext("ips"));
    }
  }
  return {};
}

Result<Mac> parseInterfaceMac(std::string_view text, std::string_view field) {
  std::string colons(text);
  if (text.find(':') == std::string_view::npos)
    std::replace(colons.begin(), colons.end(), '-', ':');
  const auto mac = Mac::parse(colons);
  if (!mac.has_value()) return Mac::parse(text).addContext(field);  // in the words that were given
  if (!mac->isZero() && !mac->isMulticast()) return mac;
  return invalid(std::string(field), inQuotes(text), "an address of one interface is needed");
}

Result<std::vector<NetworkSelection>> parseNetworks(std::string_view annotation,
                                                    const std::string& podNamespace) {
  const std::string where = "annotation " + std::string(cni::kNetworksAnnotation);
  if (annotation.size() > kMaxAnnotation) {
    return Error(ErrorCode::kInvalidArgument,
                 where + ": it has " + std::to_string(annotation.size()) + " bytes, at most " +
                     std::to_string(kMaxAnnotation) + " are allowed");
  }
  const std::string_view text = trim(annotation);
  if (text.empty()) return std::vector<NetworkSelection>();
  const bool json = text.find_first_of("[{\"") != std::string_view::npos;
  auto parsed = json ? parseList(text, podNamespace) : parseShortList(text, podNamespace);
  return std::move(parsed).addContext(where);
}

void ConfiguredNetworks::replace(std::vector<NetworkDefinition> networks) {
  const std::lock_guard lock(mutex_);
  networks_ = std::move(networks);
}

std::optional<NetworkDefinition> ConfiguredNetworks::find(const std::string& networkNamespace,
                                                          const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const NetworkDefinition* everywhere = nullptr;
  for (const NetworkDefinition& network : networks_) {
    if (network.name == name && network.podNamespace == networkNamespace) return network;
    if (network.name == name && network.podNamespace.empty()) everywhere = &network;
  }
  return everywhere != nullptr ? std::optional(*everywhere) : std::nullopt;
}

std::vector<std::string> ConfiguredNetworks::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const NetworkDefinition& network : networks_) {
    names.push_back((network.podNamespace.empty() ? "*" : network.podNamespace) + "/" +
                    network.name);
  }
  return names;
}

bool ConfiguredNetworks::useSoftRoce(const std::string& resource) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(networks_.begin(), networks_.end(), [&](const NetworkDefinition& network) {
    return network.resourceName == resource && network.rdma == RdmaUse::kSoft;
  });
}

}  // namespace railhead::attach

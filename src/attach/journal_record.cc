// The journal's records as JSON.
#include "src/attach/journal.h"
#include "src/attach/plugin_config.h"
#include "src/base/text.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <array>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr int kFormat = 1;
constexpr std::array<std::string_view, 3> kStates{"attaching", "attached", "detaching"};

template <typename T>
void put(json::Value& object, const char* key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}

json::Value encodeVf(const netlink::VfChange& vf) {
  json::Value out = json::Value::object();
  if (vf.mac) out["mac"] = vf.mac->toString();
  put(out, "vlan", vf.vlan);
  put(out, "vlanQos", vf.vlanQos);
  put(out, "vlanProtocol", vf.vlanProtocol);
  put(out, "spoofCheck", vf.spoofCheck);
  put(out, "trust", vf.trust);
  if (vf.linkState) out["linkState"] = static_cast<int>(*vf.linkState);
  put(out, "minTxRate", vf.minTxRate);
  put(out, "maxTxRate", vf.maxTxRate);
  return out;
}

json::Value encodeRail(const RailRecord& rail) {
  json::Value out;
  out["vf"] = rail.vf.toString();
  out["pf"] = rail.pf.toString();
  out["vfIndex"] = rail.vfIndex;
  out["rail"] = rail.rail;
  out["railSet"] = rail.railSet;
  out["network"] = rail.network;
  out["hostName"] = rail.hostName;
  if (!rail.alias.empty()) out["alias"] = rail.alias;
  out["mac"] = rail.mac.toString();
  out["mtu"] = rail.mtu;
  out["up"] = rail.up;
  out["vfBefore"] = encodeVf(rail.vfBefore);
  out["podName"] = rail.podName;
  out["podMtu"] = rail.podMtu;
  out["addresses"] = json::Value::array();
  for (const IpPrefix& address : rail.addresses) out["addresses"].push_back(address.toString());
  for (const IpAddress& gateway : rail.gateways) out["gateways"].push_back(gateway.toString());
  // A result is the form that routes and DNS have anyway.
  if (!rail.routes.empty() || !rail.dns.empty()) {
    out["ipam"] = encodeResult({{}, {}, rail.routes, rail.dns}, cni::kLatestVersion);
  }
  out["rdma"] = rdmaUseName(rail.rdma);
  out["rdmaDevice"] = rail.rdmaDevice;
  out["vfInPod"] = encodeVf(rail.vfInPod);
  return out;
}

json::Value encodeChain(const ChainRecord& chain) {
  json::Value out;
  out["network"] = chain.network;
  out["ifname"] = chain.ifname;
  out["cniVersion"] = chain.cniVersion;
  out["plugins"] = json::Value::array();
  for (const PluginConfig& plugin : chain.plugins)
    out["plugins"].push_back({{"type", plugin.type}, {"config", plugin.config}});
  out["behindRail"] = chain.behindRail;
  out["begun"] = chain.begun;
  out["result"] = chain.result;
  if (chain.checkDisabled) out["checkDisabled"] = true;
  if (chain.toldDeviceInfo) out["toldDeviceInfo"] = true;
  if (!chain.deviceInfo.empty()) out["deviceInfo"] = chain.deviceInfo;
  return out;
}

json::Value encodeRoute(const netlink::Route& route) {
  json::Value out;
  out["destination"] = route.destination.toString();
  if (route.gateway) out["gateway"] = route.gateway->toString();
  out["link"] = route.linkIndex;
  out["table"] = route.table;
  out["priority"] = route.priority;
  if (route.source) out["source"] = route.source->toString();
  return out;
}

Error corrupt(std::string_view key) {
  return Error(ErrorCode::kCorrupt, "key " + std::string(key) + " is missing or has a wrong value");
}

Result<long long> numberIn(const json::Value& object, std::string_view key) {
  const json::Value* value = json::member(object, key);
  if (value == nullptr || !value->is_number_integer()) return corrupt(key);
  return value->get<long long>();
}

Result<std::uint64_t> unsignedIn(const json::Value& object, std::string_view key) {
  const json::Value* value = json::member(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return corrupt(key);
  return value->get<std::uint64_t>();
}

Result<int> intIn(const json::Value& object, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const long long value, numberIn(object, key));
  if (value < 0 || value > INT32_MAX) return corrupt(key);
  return static_cast<int>(value);
}

template <typename T>
void readOptional(const json::Value& object, std::string_view key, std::optional<T>& field) {
  const json::Value* value = json::member(object, key);
  if (value == nullptr) return;
  if constexpr (std::is_same_v<T, bool>) {
    if (value->is_boolean()) field = value->get<bool>();
  } else {
    if (value->is_number_integer()) field = static_cast<T>(value->get<long long>());
  }
}

netlink::VfChange decodeVf(const json::Value* object) {
  netlink::VfChange vf;
  if (object == nullptr) return vf;
  if (const auto mac = json::textMember(*object, "mac", 32); mac.has_value()) {
    if (const auto parsed = Mac::parse(*mac); parsed.has_value()) vf.mac = *parsed;
  }
  readOptional(*object, "vlan", vf.vlan);
  readOptional(*object, "vlanQos", vf.vlanQos);
  readOptional(*object, "vlanProtocol", vf.vlanProtocol);
  readOptional(*object, "spoofCheck", vf.spoofCheck);
  readOptional(*object, "trust", vf.trust);
  std::optional<int> state;
  readOptional(*object, "linkState", state);
  if (state && *state >= 0 && *state <= 2) vf.linkState = static_cast<netlink::VfLinkState>(*state);
  readOptional(*object, "minTxRate", vf.minTxRate);
  readOptional(*object, "maxTxRate", vf.maxTxRate);
  return vf;
}

// Text that must be there, parsed by T::parse.
template <typename T>
Result<T> parsedIn(const json::Value& object, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const std::string text, json::textMember(object, key, 256));
  return T::parse(text).addContext(key);
}

// Calls `read` for each entry of the list under `key`, which may be absent.
template <typename Read>
Result<void> readList(const json::Value& object, std::string_view key, const Read& read) {
  const json::Value* list = json::member(object, key);
  if (list == nullptr) return {};
  if (!list->is_array()) return corrupt(key);
  for (const json::Value& entry : *list) RAILHEAD_TRY(read(entry));
  return {};
}

Result<ChainRecord> decodeChain(const json::Value& object) {
  ChainRecord chain;
  RAILHEAD_TRY_ASSIGN(chain.network, json::textMember(object, "network", 512));
  RAILHEAD_TRY_ASSIGN(chain.ifname, json::textMember(object, "ifname", 15));
  RAILHEAD_TRY(checkInterfaceName(chain.ifname, "ifname"));
  RAILHEAD_TRY_ASSIGN(chain.cniVersion, json::textMember(object, "cniVersion", 32));
  RAILHEAD_TRY(readList(object, "plugins", [&](const json::Value& entry) -> Result<void> {
    PluginConfig plugin;
    RAILHEAD_TRY_ASSIGN(plugin.type, json::textMember(entry, "type", 64));
    RAILHEAD_TRY(checkPluginType(plugin.type, "type"));
    RAILHEAD_TRY_ASSIGN(plugin.config, json::textMember(entry, "config", kMaxRecord));
    chain.plugins.push_back(std::move(plugin));
    return {};
  }));
  const auto isTrue = [&](std::string_view key) {
    const json::Value* value = json::member(object, key);
    return value != nullptr && *value == true;
  };
  chain.behindRail = isTrue("behindRail");
  chain.checkDisabled = isTrue("checkDisabled");
  chain.toldDeviceInfo = isTrue("toldDeviceInfo");
  RAILHEAD_TRY_ASSIGN(chain.deviceInfo, json::textMember(object, "deviceInfo", kMaxRecord));
  RAILHEAD_TRY_ASSIGN(const int begun, intIn(object, "begun"));
  chain.begun = static_cast<std::size_t>(begun);
  if (chain.begun > chain.plugins.size()) return corrupt("begun");
  RAILHEAD_TRY_ASSIGN(chain.result, json::textMember(object, "result", kMaxRecord));
  return chain;
}

Result<std::optional<IpAddress>> addressIn(const json::Value& object, std::string_view key) {
  RAILHEAD_TRY_ASSIGN(const std::string text, json::textMember(object, key, 64));
  if (text.empty()) return std::optional<IpAddress>();
  RAILHEAD_TRY_ASSIGN(const IpAddress address, IpAddress::parse(text));
  return std::optional(address);
}

Result<netlink::Route> decodeRoute(const json::Value& object) {
  netlink::Route route;
  RAILHEAD_TRY_ASSIGN(route.destination, parsedIn<IpPrefix>(object, "destination"));
  RAILHEAD_TRY_ASSIGN(route.gateway, addressIn(object, "gateway"));
  RAILHEAD_TRY_ASSIGN(route.linkIndex, intIn(object, "link"));
  RAILHEAD_TRY_ASSIGN(const int table, intIn(object, "table"));
  RAILHEAD_TRY_ASSIGN(const int priority, intIn(object, "priority"));
  route.table = static_cast<std::uint32_t>(table);
  route.priority = static_cast<std::uint32_t>(priority);
  RAILHEAD_TRY_ASSIGN(route.source, addressIn(object, "source"));
  return route;
}

Result<void> decodePlugins(const json::Value& object, Attachment& attachment) {
  const auto chains = [&](std::string_view key, std::vector<ChainRecord>& into) {
    return readList(object, key, [&](const json::Value& entry) -> Result<void> {
      RAILHEAD_TRY_ASSIGN(ChainRecord chain, decodeChain(entry));
      into.push_back(std::move(chain));
      return {};
    });
  };
  RAILHEAD_TRY(chains("ipam", attachment.ipam));
  RAILHEAD_TRY(chains("delegates", attachment.delegates));
  RAILHEAD_TRY_ASSIGN(attachment.cniArgs, json::textMember(object, "cniArgs", 64 << 10));
  RAILHEAD_TRY_ASSIGN(attachment.cniPath, json::textMember(object, "cniPath", 4096));
  RAILHEAD_TRY(readList(object, "defaultRoutes", [&](const json::Value& entry) -> Result<void> {
    DefaultRouteRecord route;
    RAILHEAD_TRY_ASSIGN(route.ifname, json::textMember(entry, "ifname", 15));
    RAILHEAD_TRY(checkInterfaceName(route.ifname, "ifname"));
    RAILHEAD_TRY_ASSIGN(route.gateway, parsedIn<IpAddress>(entry, "gateway"));
    attachment.defaultRoutes.push_back(std::move(route));
    return {};
  }));
  return readList(object, "takenRoutes", [&](const json::Value& entry) -> Result<void> {
    RAILHEAD_TRY_ASSIGN(const netlink::Route route, decodeRoute(entry));
    attachment.takenRoutes.push_back(route);
    return {};
  });
}

Result<RailRecord> decodeRail(const json::Value& object) {
  RailRecord rail;
  RAILHEAD_TRY_ASSIGN(rail.vf, parsedIn<PciAddress>(object, "vf"));
  RAILHEAD_TRY_ASSIGN(rail.pf, parsedIn<PciAddress>(object, "pf"));
  RAILHEAD_TRY_ASSIGN(rail.vfIndex, intIn(object, "vfIndex"));
  RAILHEAD_TRY_ASSIGN(rail.rail, intIn(object, "rail"));
  RAILHEAD_TRY_ASSIGN(rail.railSet, json::textMember(object, "railSet", 512));
  RAILHEAD_TRY_ASSIGN(rail.network, json::textMember(object, "network", 512));
  RAILHEAD_TRY_ASSIGN(rail.hostName, json::textMember(object, "hostName", 15));
  RAILHEAD_TRY(checkInterfaceName(rail.hostName, "hostName"));
  RAILHEAD_TRY_ASSIGN(rail.alias, json::textMember(object, "alias", 255));
  RAILHEAD_TRY_ASSIGN(rail.mac, parsedIn<Mac>(object, "mac"));
  RAILHEAD_TRY_ASSIGN(rail.mtu, intIn(object, "mtu"));
  const json::Value* up = json::member(object, "up");
  if (up == nullptr || !up->is_boolean()) return corrupt("up");
  rail.up = up->get<bool>();
  rail.vfBefore = decodeVf(json::member(object, "vfBefore"));
  RAILHEAD_TRY_ASSIGN(rail.podName, json::textMember(object, "podName", 15));
  RAILHEAD_TRY(checkInterfaceName(rail.podName, "podName"));
  RAILHEAD_TRY_ASSIGN(rail.podMtu, intIn(object, "podMtu"));
  const json::Value* addresses = json::member(object, "addresses");
  if (addresses == nullptr || !addresses->is_array()) return corrupt("addresses");
  for (const json::Value& address : *addresses) {
    if (!address.is_string()) return corrupt("addresses");
    RAILHEAD_TRY_ASSIGN(const IpPrefix prefix, IpPrefix::parse(address.get<std::string>()));
    rail.addresses.push_back(prefix);
  }
  RAILHEAD_TRY(readList(object, "gateways", [&](const json::Value& gateway) -> Result<void> {
    if (!gateway.is_string()) return corrupt("gateways");
    RAILHEAD_TRY_ASSIGN(const IpAddress parsed, IpAddress::parse(gateway.get<std::string>()));
    rail.gateways.push_back(parsed);
    return {};
  }));
  RAILHEAD_TRY_ASSIGN(const std::string ipam, json::textMember(object, "ipam", kMaxResult));
  if (!ipam.empty()) {
    RAILHEAD_TRY_ASSIGN(NetworkResult given, parseResult(ipam, "ipam"));
    rail.routes = std::move(given.routes);
    rail.dns = std::move(given.dns);
  }
  RAILHEAD_TRY_ASSIGN(const std::string rdma, json::textMember(object, "rdma", 16));
  RAILHEAD_TRY_ASSIGN(rail.rdma, parseRdmaUse(rdma));
  RAILHEAD_TRY_ASSIGN(rail.rdmaDevice, json::textMember(object, "rdmaDevice", 64));
  rail.vfInPod = decodeVf(json::member(object, "vfInPod"));
  return rail;
}

Result<void> decodeHead(const json::Value& object, Attachment& attachment) {
  RAILHEAD_TRY_ASSIGN(const int format, intIn(object, "format"));
  if (format != kFormat) return corrupt("format");
  RAILHEAD_TRY_ASSIGN(attachment.id.containerId, json::textMember(object, "container", 128));
  RAILHEAD_TRY_ASSIGN(attachment.id.ifname, json::textMember(object, "ifname", 15));
  RAILHEAD_TRY(checkInterfaceName(attachment.id.ifname, "ifname"));
  RAILHEAD_TRY_ASSIGN(const std::string state, json::textMember(object, "state", 16));
  bool known = false;
  for (std::size_t i = 0; i < kStates.size(); ++i) {
    if (state != kStates[i]) continue;
    attachment.state = static_cast<AttachmentState>(i);
    known = true;
  }
  if (!known || attachment.id.containerId.empty()) return corrupt(known ? "container" : "state");
  RAILHEAD_TRY_ASSIGN(attachment.networkName, json::textMember(object, "networkName", 253));
  RAILHEAD_TRY_ASSIGN(attachment.netnsPath, json::textMember(object, "netns", 4096));
  RAILHEAD_TRY_ASSIGN(attachment.netns.device, unsignedIn(object, "netnsDevice"));
  RAILHEAD_TRY_ASSIGN(attachment.netns.inode, unsignedIn(object, "netnsInode"));
  RAILHEAD_TRY_ASSIGN(attachment.pod.podNamespace, json::textMember(object, "podNamespace", 253));
  RAILHEAD_TRY_ASSIGN(attachment.pod.name, json::textMember(object, "pod", 253));
  RAILHEAD_TRY_ASSIGN(attachment.pod.uid, json::textMember(object, "podUid", 253));
  return {};
}

}  // namespace

std::string encodeAttachment(const Attachment& attachment) {
  json::Value out;
  out["format"] = kFormat;
  out["container"] = attachment.id.containerId;
  out["ifname"] = attachment.id.ifname;
  out["state"] = kStates[static_cast<std::size_t>(attachment.state)];
  out["networkName"] = attachment.networkName;
  out["netns"] = attachment.netnsPath;
  out["netnsDevice"] = attachment.netns.device;
  out["netnsInode"] = attachment.netns.inode;
  out["podNamespace"] = attachment.pod.podNamespace;
  out["pod"] = attachment.pod.name;
  out["podUid"] = attachment.pod.uid;
  out["rails"] = json::Value::array();
  for (const RailRecord& rail : attachment.rails) out["rails"].push_back(encodeRail(rail));
  for (const ChainRecord& chain : attachment.ipam) out["ipam"].push_back(encodeChain(chain));
  for (const ChainRecord& chain : attachment.delegates)
    out["delegates"].push_back(encodeChain(chain));
  if (!attachment.cniArgs.empty()) out["cniArgs"] = attachment.cniArgs;
  if (!attachment.cniPath.empty()) out["cniPath"] = attachment.cniPath;
  for (const DefaultRouteRecord& route : attachment.defaultRoutes) {
    out["defaultRoutes"].push_back(
        {{"ifname", route.ifname}, {"gateway", route.gateway.toString()}});
  }
  for (const netlink::Route& route : attachment.takenRoutes)
    out["takenRoutes"].push_back(encodeRoute(route));
  return json::dump(out) + "\n";
}

Result<Attachment> decodeAttachment(std::string_view text) {
  Attachment attachment;
  RAILHEAD_TRY_ASSIGN(const json::Value object, json::parseObject(text, "record"));
  RAILHEAD_TRY(decodeHead(object, attachment));
  const json::Value* rails = json::member(object, "rails");
  if (rails == nullptr || !rails->is_array()) return corrupt("rails");
  for (const json::Value& rail : *rails) {
    RAILHEAD_TRY_ASSIGN(RailRecord record, decodeRail(rail));
    attachment.rails.push_back(std::move(record));
  }
  RAILHEAD_TRY(decodePlugins(object, attachment));
  return attachment;
}

}  // namespace railhead::attach

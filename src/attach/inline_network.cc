#include "src/attach/inline_network.h"

#include "src/attach/networks.h"
#include "src/attach/plugin_config.h"
#include "src/base/text.h"
#include "src/json/json.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxRails = 8;
constexpr long long kMaxRate = 400'000;  // Mb/s
constexpr std::size_t kMaxDeviceId = 512;
constexpr std::string_view kSriov = "sriov";
constexpr std::array<std::string_view, 14> kKeysOfSriov{
    "subnets",     "mtu",      "rdma",  "vlan",       "vlanQoS", "vlanProto", "min_tx_rate",
    "max_tx_rate", "spoofchk", "trust", "link_state", "mac",     "deviceID",  "ipam"};
constexpr const char* kDhcpType = "dhcp";
constexpr std::size_t kMaxIps = 16;
constexpr std::size_t kMaxIp = 64;  // bytes of one

Error invalid(std::string_view key, const json::Value& value, std::string_view allowed) {
  return Error(ErrorCode::kInvalidArgument,
               std::string(key) + " is " + json::shown(value) + ": " + std::string(allowed));
}

// sriov-cni is written in Go, whose JSON takes a key in any case and the last of several: "Vlan"
// has always been a VLAN in these configurations.
json::Value withKnownKeys(json::Value config) {
  const json::Value* type = json::member(config, "type");
  if (type == nullptr || *type != kSriov) return config;
  json::Value known = config;
  for (const auto& [key, value] : config.items()) {
    const std::string lower = toLower(key);
    const auto same = std::find_if(kKeysOfSriov.begin(), kKeysOfSriov.end(),
                                   [&](std::string_view one) { return toLower(one) == lower; });
    if (same != kKeysOfSriov.end()) known[std::string(*same)] = value;
  }
  return known;
}

template <typename Field>
Result<void> readNumber(const json::Value& config, std::string_view key, long long low,
                        long long high, Field& field) {
  const json::Value* value = json::member(config, key);
  if (value == nullptr) return {};
  const auto number = value->is_number_integer() ? value->get<long long>() : low - 1;
  const bool huge = value->is_number_unsigned() && value->get<unsigned long long>() > INT32_MAX;
  if (huge || number < low || number > high) {
    return invalid(key, *value,
                   std::to_string(low) + " to " + std::to_string(high) + " are allowed");
  }
  field = static_cast<int>(number);
  return {};
}

// One of a few words, each with the value it stands for; empty text is as good as no key.
template <typename Value>
Result<void> readWord(const json::Value& config, std::string_view key,
                      const std::vector<std::pair<std::string, Value>>& words,
                      std::optional<Value>& field) {
  const json::Value* value = json::member(config, key);
  if (value == nullptr || *value == "") return {};
  std::vector<std::string> allowed;
  const std::string given = value->is_string() ? toLower(value->get<std::string>()) : "";
  for (const auto& [word, meaning] : words) {
    if (given == word) {
      field = meaning;
      return {};
    }
    allowed.push_back(word);
  }
  return invalid(key, *value, "allowed are " + join(allowed, ", "));
}

Result<std::vector<IpPrefix>> readRail(const json::Value& entry) {
  std::vector<IpPrefix> subnets;
  const json::Value list = entry.is_array() ? entry : json::Value::array({entry});
  for (const json::Value& item : list) {
    if (!item.is_string()) return invalid("subnets", item, "expected text like 10.100.0.0/24");
    RAILHEAD_TRY_ASSIGN(const IpPrefix subnet,
                        IpPrefix::parse(item.get<std::string>()).addContext("subnets"));
    subnets.push_back(subnet);
  }
  return subnets;
}

Result<void> readSubnets(const json::Value& config, InlineNetwork& network) {
  const json::Value* value = json::member(config, "subnets");
  if (value == nullptr) return {};
  if (!value->is_array() || value->size() > kMaxRails)
    return invalid("subnets", *value, "expected a list with one entry for each rail, at most 8");
  for (const json::Value& entry : *value) {
    RAILHEAD_TRY_ASSIGN(auto rail, readRail(entry));
    network.railSubnets.push_back(std::move(rail));
  }
  return {};
}

Result<void> readRdma(const json::Value& config, InlineNetwork& network) {
  const json::Value* value = json::member(config, "rdma");
  if (value == nullptr) return {};
  // Many sriov NADs carry `"rdma": true`, which sriov-cni never read.
  if (value->is_boolean()) {
    network.rdma = value->get<bool>() ? RdmaUse::kDevice : RdmaUse::kNone;
    return {};
  }
  if (!value->is_string()) return invalid("rdma", *value, "none, device or soft is allowed");
  RAILHEAD_TRY_ASSIGN(network.rdma, parseRdmaUse(value->get<std::string>()));
  return {};
}

Result<void> readVfSettings(const json::Value& config, netlink::VfChange& vf) {
  using netlink::VfLinkState;
  RAILHEAD_TRY(readNumber(config, "vlan", 0, 4094, vf.vlan));
  RAILHEAD_TRY(readNumber(config, "vlanQoS", 0, 7, vf.vlanQos));
  RAILHEAD_TRY(readNumber(config, "min_tx_rate", 0, kMaxRate, vf.minTxRate));
  RAILHEAD_TRY(readNumber(config, "max_tx_rate", 0, kMaxRate, vf.maxTxRate));
  RAILHEAD_TRY(readWord<std::uint16_t>(config, "vlanProto",
                                       {{"802.1q", 0x8100}, {"802.1ad", 0x88a8}}, vf.vlanProtocol));
  RAILHEAD_TRY(readWord<bool>(config, "spoofchk", {{"on", true}, {"off", false}}, vf.spoofCheck));
  RAILHEAD_TRY(readWord<bool>(config, "trust", {{"on", true}, {"off", false}}, vf.trust));
  return readWord<VfLinkState>(config, "link_state",
                               {{"auto", VfLinkState::kAuto},
                                {"enable", VfLinkState::kEnable},
                                {"disable", VfLinkState::kDisable}},
                               vf.linkState);
}

Result<void> takeMac(const std::string& text, std::string_view key, std::optional<Mac>& mac) {
  if (text.empty()) return {};
  RAILHEAD_TRY_ASSIGN(mac, parseInterfaceMac(text, key));
  return {};
}

Result<void> readMac(const json::Value& object, std::string_view key, std::optional<Mac>& mac) {
  RAILHEAD_TRY_ASSIGN(const std::string text, json::textMember(object, key, 64));
  return takeMac(text, key, mac);
}

// Its client asks from the pod's own interface, and no VF goes into a pod whose address is unknown.
Error dhcpRefused() {
  return Error(ErrorCode::kUnsupported,
               "ipam.type is 'dhcp': a rail's addresses are asked for before its VF is in the pod, "
               "and dhcp asks from within the pod",
               "use subnets (addresses that belong to VFs), or ipam of type static, host-local or "
               "whereabouts");
}

Result<void> readIpam(const json::Value& config, InlineNetwork& network) {
  const json::Value* ipam = json::member(config, "ipam");
  if (ipam == nullptr || ipam->empty()) return {};
  if (!ipam->is_object()) return invalid("ipam", *ipam, "an object with a type is needed");
  RAILHEAD_TRY_ASSIGN(std::string type, json::textMember(*ipam, "type", kMaxDeviceId));
  if (type == kOwnType) return {};
  RAILHEAD_TRY(checkPluginType(type, "ipam.type"));
  if (type == kDhcpType) return dhcpRefused();
  if (!network.railSubnets.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "subnets and ipam of type " + inQuotes(type) +
                     " are both given: addresses either belong to VFs or come from a plugin",
                 "remove one of the two");
  }
  json::Value own = config;
  own.erase("prevResult");
  network.ipamConfig = json::dump(own);
  network.ipamType = std::move(type);
  return {};
}

// Without declared capabilities, this is how Multus passes on what a pod asks for.
Result<void> readArguments(const ArgumentsOfInterface& arguments, InlineNetwork& network) {
  RAILHEAD_TRY(takeMac(arguments.mac, "CNI_ARGS MAC", network.vf.mac));
  if (arguments.ips.empty()) return {};
  const auto ips = split(arguments.ips, ',');
  if (ips.size() > kMaxIps || arguments.ips.size() > kMaxIps * kMaxIp)
    return invalid("CNI_ARGS IP", arguments.ips, "at most 16 addresses are allowed");
  for (const std::string_view ip : ips) network.ips.emplace_back(trim(ip));
  return {};
}

// What the runtime adds for declared capabilities, when it is Multus that calls us.
Result<void> readRuntime(const json::Value& config, InlineNetwork& network) {
  const json::Value* runtime = json::member(config, "runtimeConfig");
  if (runtime == nullptr) return {};
  RAILHEAD_TRY(readMac(*runtime, "mac", network.vf.mac));
  RAILHEAD_TRY_ASSIGN(const std::string guid, json::textMember(*runtime, "infinibandGUID", 64));
  if (!guid.empty()) return guidRefused(guid);
  const json::Value* ips = json::member(*runtime, "ips");
  if (ips == nullptr) return {};
  if (!ips->is_array() || ips->size() > kMaxIps)
    return invalid("runtimeConfig.ips", *ips, "a list of at most 16 strings is allowed");
  network.ips.clear();
  for (const json::Value& ip : *ips) {
    if (!ip.is_string() || ip.get_ref<const std::string&>().size() > kMaxIp)
      return invalid("runtimeConfig.ips", ip, "expected text like 10.100.0.9/24");
    network.ips.push_back(ip.get<std::string>());
  }
  return {};
}

}  // namespace

Error guidRefused(const std::string& guid) {
  return Error(ErrorCode::kUnsupported,
               "infiniband-guid is " + inQuotes(guid) +
                   ": a rail is on Ethernet (RoCE), where the GUID follows from the MAC",
               "remove infiniband-guid; mac sets both");
}

NetworkDefinition InlineNetwork::over(NetworkDefinition base) const {
  if (!railSubnets.empty()) base.railSubnets = railSubnets;
  if (mtu != 0) base.mtu = mtu;
  if (rdma) base.rdma = *rdma;
  if (!ipamType.empty()) {
    base.ipamType = ipamType;
    base.ipamConfig = ipamConfig;
    base.railSubnets.clear();
  }
  const auto take = [](auto& to, const auto& from) {
    if (from) to = from;
  };
  take(base.vf.mac, vf.mac);
  take(base.vf.vlan, vf.vlan);
  take(base.vf.vlanQos, vf.vlanQos);
  take(base.vf.vlanProtocol, vf.vlanProtocol);
  take(base.vf.spoofCheck, vf.spoofCheck);
  take(base.vf.trust, vf.trust);
  take(base.vf.linkState, vf.linkState);
  take(base.vf.minTxRate, vf.minTxRate);
  take(base.vf.maxTxRate, vf.maxTxRate);
  return base;
}

Result<InlineNetwork> parseInlineNetwork(std::string_view text,
                                         const ArgumentsOfInterface& arguments) {
  RAILHEAD_TRY_ASSIGN(json::Value given, json::parseObject(text, "stdin"));
  const json::Value config = withKnownKeys(std::move(given));
  InlineNetwork network;
  RAILHEAD_TRY(readSubnets(config, network));
  RAILHEAD_TRY(readNumber(config, "mtu", 0, 65520, network.mtu));
  RAILHEAD_TRY(readRdma(config, network));
  RAILHEAD_TRY(readVfSettings(config, network.vf));
  RAILHEAD_TRY(readMac(config, "mac", network.vf.mac));
  RAILHEAD_TRY_ASSIGN(network.deviceId, json::textMember(config, "deviceID", kMaxDeviceId));
  RAILHEAD_TRY(readIpam(config, network));
  RAILHEAD_TRY(readArguments(arguments, network));
  RAILHEAD_TRY(readRuntime(config, network));
  return network;
}

}  // namespace railhead::attach

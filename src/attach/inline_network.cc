#include "src/attach/inline_network.h"

#include "src/base/text.h"
#include "src/cni/json_input.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxRails = 8;
constexpr long long kMaxRate = 400'000;  // Mb/s

Error invalid(std::string_view key, const cni::Json& value, std::string_view allowed) {
  return Error(ErrorCode::kInvalidArgument,
               std::string(key) + " is " + cni::shown(value) + ": " + std::string(allowed));
}

template <typename Field>
Result<void> readNumber(const cni::Json& config, std::string_view key, long long low,
                        long long high, Field& field) {
  const cni::Json* value = cni::member(config, key);
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

// One of a few words, each with the value it stands for.
template <typename Value>
Result<void> readWord(const cni::Json& config, std::string_view key,
                      const std::vector<std::pair<std::string, Value>>& words,
                      std::optional<Value>& field) {
  const cni::Json* value = cni::member(config, key);
  if (value == nullptr) return {};
  std::vector<std::string> allowed;
  for (const auto& [word, meaning] : words) {
    if (*value == word) {
      field = meaning;
      return {};
    }
    allowed.push_back(word);
  }
  return invalid(key, *value, "allowed are " + join(allowed, ", "));
}

Result<std::vector<IpPrefix>> readRail(const cni::Json& entry) {
  std::vector<IpPrefix> subnets;
  const cni::Json list = entry.is_array() ? entry : cni::Json::array({entry});
  for (const cni::Json& item : list) {
    if (!item.is_string()) return invalid("subnets", item, "expected text like 10.100.0.0/24");
    RAILHEAD_TRY_ASSIGN(const IpPrefix subnet,
                        IpPrefix::parse(item.get<std::string>()).addContext("subnets"));
    subnets.push_back(subnet);
  }
  return subnets;
}

Result<void> readSubnets(const cni::Json& config, InlineNetwork& network) {
  const cni::Json* value = cni::member(config, "subnets");
  if (value == nullptr) return {};
  if (!value->is_array() || value->size() > kMaxRails)
    return invalid("subnets", *value, "expected a list with one entry for each rail, at most 8");
  for (const cni::Json& entry : *value) {
    RAILHEAD_TRY_ASSIGN(auto rail, readRail(entry));
    network.railSubnets.push_back(std::move(rail));
  }
  return {};
}

Result<void> readRdma(const cni::Json& config, InlineNetwork& network) {
  const cni::Json* value = cni::member(config, "rdma");
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

Result<void> readVfSettings(const cni::Json& config, netlink::VfChange& vf) {
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

}  // namespace

NetworkDefinition InlineNetwork::over(NetworkDefinition base) const {
  if (!railSubnets.empty()) base.railSubnets = railSubnets;
  if (mtu != 0) base.mtu = mtu;
  if (rdma) base.rdma = *rdma;
  const auto take = [](auto& to, const auto& from) {
    if (from) to = from;
  };
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

Result<InlineNetwork> parseInlineNetwork(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const cni::Json config, cni::parseJsonObject(text, "stdin"));
  InlineNetwork network;
  RAILHEAD_TRY(readSubnets(config, network));
  RAILHEAD_TRY(readNumber(config, "mtu", 0, 65520, network.mtu));
  RAILHEAD_TRY(readRdma(config, network));
  RAILHEAD_TRY(readVfSettings(config, network.vf));
  if (const cni::Json* ipam = cni::member(config, "ipam"); ipam != nullptr && !ipam->empty()) {
    return Error(
        ErrorCode::kUnsupported,
        "ipam is " + cni::shown(*ipam) + ": addresses belong to VFs, none can be allocated",
        "remove ipam and list one subnet for each rail in subnets");
  }
  if (const cni::Json* mac = cni::member(config, "mac"); mac != nullptr) {
    return Error(ErrorCode::kUnsupported,
                 "mac is " + cni::shown(*mac) + ": a VF keeps the address it was provisioned with",
                 "remove mac");
  }
  return network;
}

}  // namespace railhead::attach

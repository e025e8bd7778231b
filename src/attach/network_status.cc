#include "src/attach/network_status.h"

#include "src/attach/device_info.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

json::Value encodeDns(const ResultDns& dns) {
  json::Value out = json::Value::object();
  if (!dns.nameservers.empty()) out["nameservers"] = dns.nameservers;
  if (!dns.domain.empty()) out["domain"] = dns.domain;
  if (!dns.search.empty()) out["search"] = dns.search;
  if (!dns.options.empty()) out["options"] = dns.options;
  return out;
}

// The object for interface `index` of a result.
json::Value entryFor(const std::string& network, const NetworkResult& result, std::size_t index) {
  const ResultInterface& interface = result.interfaces[index];
  json::Value out;
  out["name"] = network;
  out["interface"] = interface.name;
  for (const ResultAddress& address : result.addresses) {
    // Without an index it can only be the one interface's.
    if (address.interface ? *address.interface == index : result.interfaces.size() == 1)
      out["ips"].push_back(address.address.address.toString());
  }
  if (!interface.mac.empty()) out["mac"] = interface.mac;
  if (interface.mtu > 0) out["mtu"] = interface.mtu;
  out["dns"] = encodeDns(result.dns);
  return out;
}

void addGateways(json::Value& entry, const Attachment& attachment) {
  for (const DefaultRouteRecord& route : attachment.defaultRoutes) {
    if (entry["interface"] == route.ifname) entry["gateway"].push_back(route.gateway.toString());
  }
}

const RailRecord* railNamed(const Attachment& attachment, const std::string& name) {
  const auto found = std::find_if(attachment.rails.begin(), attachment.rails.end(),
                                  [&](const RailRecord& rail) { return rail.podName == name; });
  return found == attachment.rails.end() ? nullptr : &*found;
}

// What is known of the device behind an interface, as JSON text; empty when nothing is.
std::string deviceInfoOf(const Attachment& attachment, const std::string& interface) {
  if (const RailRecord* rail = railNamed(attachment, interface))
    return encodeDeviceInfo({rail->vf, rail->pf, rail->rdmaDevice});
  for (const ChainRecord& chain : attachment.delegates) {
    if (chain.ifname == interface) return chain.deviceInfo;
  }
  return "";
}

// What the runtime calls eth0.
Result<void> addPrimary(const CniRequest& request, json::Value& list) {
  if (request.prevResult.empty()) return {};
  auto primary = parseResult(request.prevResult, "prevResult");
  if (!primary.has_value()) {
    primary.error().code = ErrorCode::kInvalidArgument;
    return std::move(primary).error();
  }
  for (std::size_t i = 0; i < primary->interfaces.size(); ++i) {
    const ResultInterface& interface = primary->interfaces[i];
    if (interface.name != request.id.ifname || interface.sandbox.empty()) continue;
    json::Value entry = entryFor(request.networkName, *primary, i);
    const json::Value dns = entry["dns"];
    entry.erase("dns");
    entry["default"] = true;
    entry["dns"] = dns;
    list.push_back(std::move(entry));
  }
  return {};
}

// The names of the networks, in the order of resultsOf().
std::vector<std::string> networksOf(const Attachment& attachment) {
  std::vector<std::string> names;
  for (const RailRecord& rail : attachment.rails) names.push_back(rail.network);
  for (const ChainRecord& chain : attachment.delegates) {
    if (!chain.behindRail) names.push_back(chain.network);
  }
  return names;
}

}  // namespace

NetworkResult resultOf(const RailRecord& rail, const std::string& netnsPath) {
  NetworkResult result;
  result.interfaces.push_back(
      {rail.podName, rail.podMac().toString(), rail.podMtu, netnsPath, rail.vf.toString(), {}});
  for (const IpPrefix& address : rail.addresses) {
    ResultAddress entry{address, {}, 0};
    for (const IpAddress& gateway : rail.gateways) {
      if (gateway.v6 == address.address.v6) entry.gateway = gateway;
    }
    result.addresses.push_back(entry);
  }
  result.routes = rail.routes;
  result.dns = rail.dns;
  return result;
}

Result<std::vector<NetworkResult>> resultsOf(const Attachment& attachment) {
  std::vector<NetworkResult> results;
  const auto read = [](const ChainRecord& chain) {
    return parseResult(chain.result, "the result of network " + chain.network);
  };
  for (const RailRecord& rail : attachment.rails) {
    const auto behind = std::find_if(
        attachment.delegates.begin(), attachment.delegates.end(), [&](const ChainRecord& chain) {
          return chain.behindRail && chain.ifname == rail.podName && !chain.result.empty();
        });
    if (behind == attachment.delegates.end()) {
      results.push_back(resultOf(rail, attachment.netnsPath));
    } else {
      RAILHEAD_TRY_ASSIGN(NetworkResult result, read(*behind));
      results.push_back(std::move(result));
    }
  }
  for (const ChainRecord& chain : attachment.delegates) {
    if (chain.behindRail) continue;
    if (chain.result.empty()) {
      results.emplace_back();  // not executed yet
    } else {
      RAILHEAD_TRY_ASSIGN(NetworkResult result, read(chain));
      results.push_back(std::move(result));
    }
  }
  return results;
}

Result<std::string> networkStatus(const CniRequest& request, const Attachment& attachment) {
  json::Value list = json::Value::array();
  RAILHEAD_TRY(addPrimary(request, list));
  RAILHEAD_TRY_ASSIGN(const auto results, resultsOf(attachment));
  const auto networks = networksOf(attachment);
  for (std::size_t k = 0; k < results.size(); ++k) {
    for (std::size_t i = 0; i < results[k].interfaces.size(); ++i) {
      if (results[k].interfaces[i].sandbox.empty()) continue;  // on the host
      json::Value entry = entryFor(networks[k], results[k], i);
      addGateways(entry, attachment);
      const auto info =
          json::parse(deviceInfoOf(attachment, results[k].interfaces[i].name), "device-info");
      if (info.has_value()) entry["device-info"] = *info;
      list.push_back(std::move(entry));
    }
  }
  return json::dump(list);
}

}  // namespace railhead::attach

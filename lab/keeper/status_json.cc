#include "lab/keeper/status_json.h"

#include "lab/keeper/keeper_messages.h"

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using nlohmann::json;

json pfToJson(const PfStatus& pf) {
  return {{"name", pf.name},
          {"address", pf.address},
          {"mac", pf.mac},
          {"vfs_wanted", pf.vfs},
          {"link", pf.link.empty() ? json() : json(pf.link)}};
}

PfStatus pfFromJson(const json& value) {
  PfStatus pf;
  pf.name = value.at("name").get<std::string>();
  pf.address = value.at("address").get<std::string>();
  pf.mac = value.at("mac").get<std::string>();
  pf.vfs = value.at("vfs_wanted").get<unsigned>();
  if (!value.at("link").is_null()) pf.link = value.at("link").get<std::string>();
  return pf;
}

json nodeToJson(const NodeStatus& node) {
  json value{{"name", node.name},
             {"state", nodeStateName(node.state)},
             {"pid", node.pid},
             {"memory_mib", node.memoryMib},
             {"cpus", node.cpus},
             {"kernel", node.kernel},
             {"boot_seconds", node.bootSeconds},
             {"ready_seconds", node.readySeconds},
             {"problem", node.problem},
             {"pfs", json::array()}};
  for (const auto& pf : node.pfs) value["pfs"].push_back(pfToJson(pf));
  return value;
}

NodeStatus nodeFromJson(const json& value) {
  NodeStatus node;
  node.name = value.at("name").get<std::string>();
  const auto state = value.at("state").get<std::string>();
  node.state = state == nodeStateName(NodeState::kReady)  ? NodeState::kReady
               : state == nodeStateName(NodeState::kDead) ? NodeState::kDead
                                                          : NodeState::kBooting;
  node.pid = value.at("pid").get<int>();
  node.memoryMib = value.at("memory_mib").get<unsigned>();
  node.cpus = value.at("cpus").get<unsigned>();
  node.kernel = value.at("kernel").get<std::string>();
  node.bootSeconds = value.at("boot_seconds").get<double>();
  node.readySeconds = value.at("ready_seconds").get<double>();
  node.problem = value.at("problem").get<std::string>();
  for (const auto& pf : value.at("pfs")) node.pfs.push_back(pfFromJson(pf));
  return node;
}

}  // namespace

std::string_view nodeStateName(NodeState state) {
  switch (state) {
    case NodeState::kBooting:
      return "booting";
    case NodeState::kReady:
      return "ready";
    case NodeState::kDead:
      return "dead";
  }
  return "unknown";
}

void to_json(json& value, const LinkStatus& status) {
  value = {{"name", status.name},
           {"rate_bps", status.rate.bitsPerSecond},
           {"cut", status.cut},
           {"loss_percent", status.lossPercent},
           {"ends", json::array()}};
  for (const auto& end : status.ends) {
    value["ends"].push_back(
        {{"end", end.end}, {"frames", end.frames}, {"bytes", end.bytes}, {"dropped", end.dropped}});
  }
}

void from_json(const json& value, LinkStatus& status) {
  status.name = value.at("name").get<std::string>();
  status.rate.bitsPerSecond = value.at("rate_bps").get<double>();
  status.cut = value.at("cut").get<bool>();
  status.lossPercent = value.at("loss_percent").get<double>();
  for (const auto& end : value.at("ends")) {
    status.ends.push_back({end.at("end").get<std::string>(), end.at("frames").get<std::uint64_t>(),
                           end.at("bytes").get<std::uint64_t>(),
                           end.at("dropped").get<std::uint64_t>()});
  }
}

void to_json(json& value, const LabStatus& status) {
  value = {{"name", status.name},
           {"topology", status.topology},
           {"up", status.up},
           {"uptime_seconds", status.uptimeSeconds},
           {"keeper_pid", status.keeperPid},
           {"nodes", json::array()},
           {"links", status.links},
           {"twins", status.twins},
           {"share", status.share.empty() ? json() : json(status.share)},
           {"topology_yaml", status.topologyYaml}};
  for (const auto& node : status.nodes) value["nodes"].push_back(nodeToJson(node));
}

void from_json(const json& value, LabStatus& status) {
  status.name = value.at("name").get<std::string>();
  status.topology = value.at("topology").get<std::string>();
  status.up = value.at("up").get<bool>();
  status.uptimeSeconds = value.at("uptime_seconds").get<double>();
  status.keeperPid = value.at("keeper_pid").get<int>();
  for (const auto& node : value.at("nodes")) status.nodes.push_back(nodeFromJson(node));
  status.links = value.at("links").get<std::vector<LinkStatus>>();
  status.twins = value.at("twins").get<std::vector<std::pair<std::string, std::string>>>();
  if (!value.at("share").is_null()) status.share = value.at("share").get<std::string>();
  status.topologyYaml = value.at("topology_yaml").get<std::string>();
}

std::string statusJson(const LabStatus& status) { return json(status).dump(2); }

std::string linkJson(const LinkStatus& status) { return json(status).dump(2); }

}  // namespace railhead::lab

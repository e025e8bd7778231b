// Traps in the configuration of the pod network.
#include "src/base/text.h"
#include "src/base/units.h"
#include "src/json/json.h"
#include "src/verify/doctor/checks.h"

#include <functional>

#include <nlohmann/json.hpp>

namespace railhead::verify::doctor {
namespace {

using Json = json::Value;

constexpr std::uint64_t kEnoughForMultus = 256ULL << 20;

// Calls `look` for each plugin of a CNI configuration: of a list each one, else the only one. What
// is no JSON has none.
void forEachPlugin(const ConfigFile& file, const std::function<void(const Json&)>& look) {
  const auto config = json::parseObject(file.text, file.path);
  if (!config.has_value()) return;
  const Json* plugins = json::member(*config, "plugins");
  if (plugins == nullptr || !plugins->is_array()) {
    look(*config);
    return;
  }
  for (const auto& plugin : *plugins) {
    if (plugin.is_object()) look(plugin);
  }
}

std::string textOf(const Json& object, std::string_view key) {
  return json::textMember(object, key, 256).value_or("");
}

}  // namespace

std::string needsCniFiles(const Patient& patient) {
  if (patient.place == Place::kPod) return "the node's CNI configuration is not in a pod";
  return patient.cniFiles.empty() ? "no CNI configuration can be read" : "";
}

std::string needsMultus(const Patient& patient) {
  return patient.multusMemoryLimit ? "" : "Multus' DaemonSet was not looked up (--cluster)";
}

std::vector<Finding> hostLocalAddresses(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& file : patient.cniFiles) {
    forEachPlugin(file, [&](const Json& plugin) {
      const std::string type = textOf(plugin, "type");
      const Json* ipam = json::member(plugin, "ipam");
      if (type != "sriov" && type != "railhead" && type != "macvlan" && type != "ipvlan") return;
      if (ipam == nullptr || textOf(*ipam, "type") != "host-local") return;
      findings.push_back({Severity::kBroken, file.path,
                          "plugin " + type + " takes its addresses from host-local",
                          "host-local counts on each node by itself: two nodes hand out the same "
                          "first address on one wire",
                          "leave \"ipam\" out (Railhead derives the address from node and VF), or "
                          "give each node a range of its own"});
    });
  }
  return findings;
}

std::vector<Finding> unknownSriovKey(const Patient& patient) {
  std::vector<Finding> findings;
  for (const auto& file : patient.cniFiles) {
    forEachPlugin(file, [&](const Json& plugin) {
      if (textOf(plugin, "type") != "sriov" || json::member(plugin, "rdma") == nullptr) return;
      findings.push_back(
          {Severity::kNotice, file.path, "\"rdma\" stands in a plugin of type sriov",
           "sriov-cni has no such key and passes over it: in exclusive mode the RDMA "
           "device stays on the host",
           "chain the plugin \"rdma\" behind it, or use type \"railhead\""});
    });
  }
  return findings;
}

std::vector<Finding> ciliumExclusive(const Patient& patient) {
  if (patient.cniBackups.empty()) return {};
  return {{Severity::kBroken, "Cilium", "it renamed " + join(patient.cniBackups, ", "),
           "with cni.exclusive=true it takes every other CNI configuration away: pods get no rail",
           "set cni.exclusive=false in Cilium's values"}};
}

std::vector<Finding> multusMemory(const Patient& patient) {
  if (*patient.multusMemoryLimit >= kEnoughForMultus) return {};
  return {{Severity::kBroken, "Multus",
           "its memory limit is " + formatBytes(*patient.multusMemoryLimit),
           "the thick daemon is killed for memory when many pods start, and pods stay without net1",
           "raise the limit to 512Mi, or let Railhead take its place"}};
}

}  // namespace railhead::verify::doctor

#include "lab/kubelet/pod.h"

#include "lab/kubelet/pod_json.h"
#include "src/base/text.h"
#include "src/kube/resource_name.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxSpec = 1 << 20;
constexpr std::size_t kMaxEntries = 256;
constexpr int kMaxCount = 4096;

Error wrong(std::string_view field, const std::string& got, std::string_view allowed) {
  return {ErrorCode::kInvalidArgument,
          "pod " + std::string(field) + ": " + got + ": " + std::string(allowed)};
}

bool isDnsName(std::string_view name) {
  const auto inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), inner) &&
         name.front() != '-' && name.front() != '.' && name.back() != '-' && name.back() != '.';
}

Result<void> checkName(const PodName& name) {
  for (const auto& [field, value] :
       {std::pair("namespace", name.podNamespace), std::pair("name", name.name)}) {
    if (!isDnsName(value)) {
      return wrong(field, inQuotes(value), "lower-case letters, digits, '-' and '.', at most 253");
    }
  }
  return {};
}

Result<std::string> readText(const json& from, std::string_view field) {
  if (!from.is_string()) return wrong(field, inQuotes(from.dump()), "a text");
  return from.get<std::string>();
}

Result<std::map<std::string, std::string>> readTexts(const json& from, std::string_view field) {
  if (!from.is_object() || from.size() > kMaxEntries) {
    return wrong(field, inQuotes(from.dump()),
                 "an object of at most " + std::to_string(kMaxEntries) + " texts");
  }
  std::map<std::string, std::string> all;
  for (const auto& [key, value] : from.items()) {
    RAILHEAD_TRY_ASSIGN(all[key], readText(value, std::string(field) + "." + key));
  }
  return all;
}

Result<std::vector<std::string>> readList(const json& from, std::string_view field) {
  if (!from.is_array() || from.size() > kMaxEntries) {
    return wrong(field, inQuotes(from.dump()), "a list of texts");
  }
  std::vector<std::string> all;
  for (const auto& one : from) {
    RAILHEAD_TRY_ASSIGN(auto text, readText(one, field));
    all.push_back(std::move(text));
  }
  return all;
}

// A count is a number or, as manifests often write it, a text of digits.
Result<std::map<std::string, int>> readResources(const json& from, std::string_view field,
                                                 bool skipNative) {
  if (!from.is_object() || from.size() > kMaxEntries) {
    return wrong(field, inQuotes(from.dump()), "an object of resource names and counts");
  }
  std::map<std::string, int> all;
  for (const auto& [name, value] : from.items()) {
    if (skipNative && name.find('/') == std::string::npos) continue;  // cpu, memory, hugepages
    RAILHEAD_TRY(kube::checkResourceName(name).addContext("pod " + std::string(field)));
    const auto count = value.is_string()            ? parseUnsigned(value.get<std::string>())
                       : value.is_number_unsigned() ? std::optional(value.get<std::uint64_t>())
                                                    : std::nullopt;
    if (!count || *count > kMaxCount) {
      return wrong(std::string(field) + "." + name, inQuotes(value.dump()),
                   "0 to " + std::to_string(kMaxCount));
    }
    if (*count > 0) all[name] = static_cast<int>(*count);
  }
  return all;
}

Result<PodSpec> readShortForm(const json& from) {
  static const std::set<std::string> kKnown = {"name", "namespace", "annotations", "resources",
                                               "env",  "command",   "capabilities"};
  PodSpec spec;
  for (const auto& [key, value] : from.items()) {
    if (!kKnown.contains(key)) {
      return wrong(inQuotes(key), "unknown field",
                   "name, namespace, annotations, resources, env, command, capabilities");
    }
  }
  if (!from.contains("name")) return wrong("name", "missing", "a pod needs one");
  RAILHEAD_TRY_ASSIGN(spec.name.name, readText(from["name"], "name"));
  if (from.contains("namespace")) {
    RAILHEAD_TRY_ASSIGN(spec.name.podNamespace, readText(from["namespace"], "namespace"));
  }
  if (from.contains("annotations")) {
    RAILHEAD_TRY_ASSIGN(spec.annotations, readTexts(from["annotations"], "annotations"));
  }
  if (from.contains("resources")) {
    RAILHEAD_TRY_ASSIGN(spec.resources, readResources(from["resources"], "resources", false));
  }
  if (from.contains("env")) {
    RAILHEAD_TRY_ASSIGN(spec.env, readTexts(from["env"], "env"));
  }
  if (from.contains("command")) {
    RAILHEAD_TRY_ASSIGN(spec.command, readList(from["command"], "command"));
  }
  if (from.contains("capabilities")) {
    RAILHEAD_TRY_ASSIGN(spec.capabilities, readList(from["capabilities"], "capabilities"));
  }
  return spec;
}

const json& member(const json& from, const char* key) {
  static const json kNothing = json::object();
  if (!from.is_object()) return kNothing;
  const auto found = from.find(key);
  return found == from.end() || found->is_null() ? kNothing : *found;
}

Result<void> readSecurity(const json& context, PodSpec& spec) {
  const std::string field = "spec.containers[0].securityContext.capabilities";
  const json& capabilities = member(context, "capabilities");
  if (const json& added = member(capabilities, "add"); !added.empty()) {
    RAILHEAD_TRY_ASSIGN(spec.capabilities, readList(added, field + ".add"));
  }
  if (const json& dropped = member(capabilities, "drop"); !dropped.empty()) {
    RAILHEAD_TRY_ASSIGN(spec.droppedCapabilities, readList(dropped, field + ".drop"));
  }
  spec.readOnlyRoot = member(context, "readOnlyRootFilesystem") == true;
  spec.runtimeSeccomp = member(member(context, "seccompProfile"), "type") == "RuntimeDefault";
  return {};
}

Result<void> readContainer(const json& container, PodSpec& spec) {
  RAILHEAD_TRY_ASSIGN(spec.resources,
                      readResources(member(member(container, "resources"), "limits"),
                                    "spec.containers[0].resources.limits", true));
  if (container.contains("env")) {
    for (const auto& one : container["env"]) {
      if (!one.is_object() || !one.contains("name") || one.contains("valueFrom")) {
        return wrong("spec.containers[0].env", inQuotes(one.dump()), "{\"name\", \"value\"}");
      }
      RAILHEAD_TRY_ASSIGN(const auto key, readText(one["name"], "spec.containers[0].env"));
      RAILHEAD_TRY_ASSIGN(spec.env[key], readText(one.contains("value") ? one["value"] : json(""),
                                                  "spec.containers[0].env"));
    }
  }
  for (const char* part : {"command", "args"}) {
    if (!container.contains(part)) continue;
    RAILHEAD_TRY_ASSIGN(const auto words, readList(container[part], part));
    spec.command.insert(spec.command.end(), words.begin(), words.end());
  }
  return readSecurity(member(container, "securityContext"), spec);
}

// Volumes of other kinds than hostPath, which the lab has none of, are left out.
Result<void> readMounts(const json& pod, const json& container, PodSpec& spec) {
  const std::string field = "spec.containers[0].volumeMounts";
  std::map<std::string, std::string> paths;
  for (const auto& volume : member(pod, "volumes")) {
    const json& path = member(member(volume, "hostPath"), "path");
    if (path.is_string()) paths[volume.value("name", "")] = path.get<std::string>();
  }
  for (const auto& one : member(container, "volumeMounts")) {
    const auto path = one.is_object() ? paths.find(one.value("name", "")) : paths.end();
    if (path == paths.end()) continue;
    RAILHEAD_TRY_ASSIGN(auto inside, readText(member(one, "mountPath"), field));
    spec.mounts.push_back({std::move(inside), path->second, one.value("readOnly", false),
                           one.value("mountPropagation", "") == "HostToContainer"});
  }
  return {};
}

Result<PodSpec> readManifest(const json& from) {
  PodSpec spec;
  const json& metadata = member(from, "metadata");
  RAILHEAD_TRY_ASSIGN(spec.name.name, readText(member(metadata, "name"), "metadata.name"));
  if (metadata.contains("namespace")) {
    RAILHEAD_TRY_ASSIGN(spec.name.podNamespace,
                        readText(metadata["namespace"], "metadata.namespace"));
  }
  RAILHEAD_TRY_ASSIGN(spec.annotations,
                      readTexts(member(metadata, "annotations"), "metadata.annotations"));
  const json& containers = member(member(from, "spec"), "containers");
  if (!containers.is_array() || containers.size() != 1 || !containers[0].is_object()) {
    return wrong("spec.containers", inQuotes(containers.dump()), "exactly one container");
  }
  RAILHEAD_TRY(readContainer(containers[0], spec));
  RAILHEAD_TRY(readMounts(member(from, "spec"), containers[0], spec));
  spec.hostNetwork = member(member(from, "spec"), "hostNetwork") == true;
  return spec;
}

}  // namespace

Result<PodSpec> parsePodSpec(std::string_view text) {
  if (text.size() > kMaxSpec) {
    return wrong("JSON", std::to_string(text.size()) + " bytes",
                 "at most " + std::to_string(kMaxSpec));
  }
  const json parsed = json::parse(text, nullptr, false);
  if (parsed.is_discarded() || !parsed.is_object()) {
    return wrong("JSON", inQuotes(text), "one JSON object");
  }
  const bool manifest = parsed.contains("kind") && parsed["kind"] == "Pod";
  RAILHEAD_TRY_ASSIGN(PodSpec spec, manifest ? readManifest(parsed) : readShortForm(parsed));
  RAILHEAD_TRY(checkName(spec.name));
  return spec;
}

Result<PodName> parsePodName(std::string_view text) {
  PodName name;
  const auto slash = text.find('/');
  if (slash != std::string_view::npos) name.podNamespace = text.substr(0, slash);
  name.name = slash == std::string_view::npos ? text : text.substr(slash + 1);
  RAILHEAD_TRY(checkName(name));
  return name;
}

std::map<std::string, std::string> podEnvironment(const Pod& pod) {
  auto env = pod.allocation.env;
  for (const auto& [name, value] : pod.spec.env) env[name] = value;
  return env;
}

json podAsJson(const Pod& pod) {
  json mounts = json::array();
  for (const auto& mount : pod.allocation.mounts) {
    mounts.push_back({{"containerPath", mount.containerPath},
                      {"hostPath", mount.hostPath},
                      {"readOnly", mount.readOnly}});
  }
  json nodes = json::array();
  for (const auto& node : pod.allocation.deviceNodes) {
    nodes.push_back({{"containerPath", node.containerPath},
                     {"hostPath", node.hostPath},
                     {"permissions", node.permissions}});
  }
  return {{"namespace", pod.spec.name.podNamespace},
          {"name", pod.spec.name.name},
          {"uid", pod.uid},
          {"sandbox", pod.sandboxId},
          {"netns", pod.netns},
          {"devices", pod.devices},
          {"env", podEnvironment(pod)},
          {"mounts", std::move(mounts)},
          {"deviceNodes", std::move(nodes)},
          {"annotations", pod.allocation.annotations},
          {"cdiDevices", pod.allocation.cdiDevices},
          {"cni", pod.cniResult.empty() ? json() : json::parse(pod.cniResult, nullptr, false)},
          {"seconds", {{"set_up", pod.setUpSeconds}, {"start", pod.startSeconds}}}};
}

std::string podToJson(const Pod& pod) {
  return podAsJson(pod).dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace railhead::lab

#include "src/attach/plugin_config.h"

#include "src/base/text.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::size_t kMaxType = 64;
constexpr const char* kDeviceInfoCapability = "CNIDeviceInfoFile";

// One thing a pod asks for, and the capability a plugin must declare to get it.
struct Asked {
  std::string capability;
  json::Value value;
  bool required = true;  // unheard, the pod would not be as it asked to be
  bool heard = false;
};

Result<std::vector<Asked>> askedFor(const PluginArguments& arguments) {
  std::vector<Asked> asked;
  // These two are told in CNI_ARGS as well, where many plugins look for them.
  if (!arguments.ips.empty()) asked.push_back({"ips", arguments.ips, false});
  if (!arguments.mac.empty()) asked.push_back({"mac", arguments.mac, false});
  if (!arguments.infinibandGuid.empty())
    asked.push_back({"infinibandGUID", arguments.infinibandGuid});
  const auto parsed = [&](const char* capability, const std::string& text,
                          bool required) -> Result<void> {
    if (text.empty()) return {};
    RAILHEAD_TRY_ASSIGN(json::Value value, json::parse(text, capability));
    asked.push_back({capability, std::move(value), required});
    return {};
  };
  RAILHEAD_TRY(parsed("bandwidth", arguments.bandwidth, true));
  RAILHEAD_TRY(parsed("portMappings", arguments.portMappings, true));
  RAILHEAD_TRY(
      parsed(std::string(cni::kPodAnnotationsCapability).c_str(), arguments.podAnnotations, false));
  const std::string& device =
      arguments.deviceId.empty() ? arguments.askedDeviceId : arguments.deviceId;
  if (!device.empty()) asked.push_back({"deviceID", device, false});
  if (!arguments.deviceInfoFile.empty())
    asked.push_back({kDeviceInfoCapability, arguments.deviceInfoFile, false});
  return asked;
}

bool declares(const json::Value& capabilities, std::string_view capability) {
  const json::Value* declared = json::member(capabilities, capability);
  return declared != nullptr && *declared == true;
}

// host-local takes several addresses as runtimeConfig only: in CNI_ARGS they are an error to it.
bool takesOneArgument(const PluginConfig& input) {
  const auto config = json::parseObject(input.config, input.type);
  if (!config.has_value()) return false;
  const json::Value* ipam = json::member(*config, "ipam");
  const json::Value* type = ipam != nullptr ? json::member(*ipam, "type") : nullptr;
  const json::Value* runtime = json::member(*config, "runtimeConfig");
  return type != nullptr && *type == "host-local" && runtime != nullptr &&
         json::member(*runtime, "ips") != nullptr;
}

void hear(json::Value& config, std::vector<Asked>& asked) {
  const json::Value* capabilities = json::member(config, "capabilities");
  if (capabilities == nullptr) return;
  json::Value runtime = json::Value::object();
  for (Asked& one : asked) {
    if (!declares(*capabilities, one.capability)) continue;
    runtime[one.capability] = one.value;
    one.heard = true;
  }
  if (!runtime.empty()) config["runtimeConfig"].update(runtime);
}

Result<void> addCniArguments(json::Value& config, const std::string& text) {
  if (text.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const json::Value arguments, json::parseObject(text, "cni-args"));
  json::Value args = json::Value::object();
  if (const json::Value* given = json::member(config, "args");
      given != nullptr && given->is_object())
    args = *given;
  if (json::member(args, "cni") == nullptr || !args["cni"].is_object())
    args["cni"] = json::Value::object();
  args["cni"].update(arguments);
  config["args"] = std::move(args);
  return {};
}

// host-local keeps its addresses and tuning what it changed below folders of their own.
void placeFiles(json::Value& config, const std::string& type, const std::string& folder) {
  if (folder.empty()) return;
  const auto place = [&](json::Value& object, const char* name) {
    const json::Value* given = json::member(object, kDataFolder);
    if (given == nullptr || *given == "") object[kDataFolder] = folder + "/" + name;
  };
  if (type == "tuning") place(config, "tuning");
  const auto ipam = config.find("ipam");
  if (ipam == config.end() || !ipam->is_object()) return;
  const json::Value* kind = json::member(*ipam, "type");
  if (kind != nullptr && *kind == "host-local") place(*ipam, "host-local");
}

}  // namespace

Result<void> checkPluginType(std::string_view type, std::string_view field) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!type.empty() && type.size() <= kMaxType && type.front() != '.' &&
      std::all_of(type.begin(), type.end(), plain)) {
    return {};
  }
  return Error(ErrorCode::kInvalidArgument,
               std::string(field) + " is " + inQuotes(type) +
                   ": the name of a CNI plugin is needed, 1 to 64 letters, digits, '-', '_', '.', "
                   "not beginning with '.'");
}

PluginArguments argumentsOf(const NetworkSelection& selection) {
  PluginArguments arguments;
  arguments.ips = selection.ips;
  arguments.mac = selection.mac;
  arguments.infinibandGuid = selection.infinibandGuid;
  arguments.askedDeviceId = selection.deviceId;
  arguments.bandwidth = selection.bandwidth;
  arguments.portMappings = selection.portMappings;
  arguments.cniArguments = selection.cniArguments;
  return arguments;
}

Result<std::vector<PluginConfig>> pluginInputs(const std::vector<PluginConfig>& plugins,
                                               const PluginArguments& arguments) {
  RAILHEAD_TRY_ASSIGN(auto asked, askedFor(arguments));
  std::vector<PluginConfig> inputs;
  for (const PluginConfig& plugin : plugins) {
    RAILHEAD_TRY_ASSIGN(json::Value config, json::parseObject(plugin.config, plugin.type));
    if (const auto runtime = config.find("runtimeConfig");
        runtime != config.end() && !runtime->is_object()) {
      config.erase(runtime);
    }
    hear(config, asked);
    placeFiles(config, plugin.type, arguments.files);
    RAILHEAD_TRY(addCniArguments(config, arguments.cniArguments));
    if (inputs.empty() && !arguments.deviceId.empty()) {
      config["deviceID"] = arguments.deviceId;
      config["pciBusID"] = arguments.deviceId;
    }
    inputs.push_back({plugin.type, json::dump(config)});
  }
  for (const Asked& one : asked) {
    if (one.heard || !one.required || inputs.empty()) continue;
    return Error(ErrorCode::kUnsupported,
                 one.capability + " is " + json::shown(one.value) +
                     ": no plugin of the network has the capability for it",
                 "add \"capabilities\": {\"" + one.capability +
                     "\": true} to the network, or remove it from the annotation");
  }
  return inputs;
}

std::string argumentsForAdd(const std::vector<PluginConfig>& inputs,
                            const PluginArguments& arguments) {
  std::vector<std::string> pairs;
  const bool tell =
      arguments.ips.size() < 2 || std::none_of(inputs.begin(), inputs.end(), takesOneArgument);
  if (!arguments.ips.empty() && tell) pairs.push_back("IP=" + join(arguments.ips, ","));
  if (!arguments.mac.empty()) pairs.push_back("MAC=" + arguments.mac);
  return join(pairs, ";");
}

std::string withoutIps(const std::string& cniArgs) {
  std::vector<std::string> kept;
  for (const std::string_view pair : split(cniArgs, ';')) {
    if (!pair.starts_with("IP=")) kept.emplace_back(pair);
  }
  return join(kept, ";");
}

Result<std::string> withIps(const std::string& config, const std::vector<std::string>& ips) {
  RAILHEAD_TRY_ASSIGN(json::Value object, json::parseObject(config, "configuration"));
  const auto runtime = object.find("runtimeConfig");
  if (runtime == object.end() || json::member(*runtime, "ips") == nullptr) return config;
  (*runtime)["ips"] = ips;
  return json::dump(object);
}

bool wantDeviceInfo(const std::vector<PluginConfig>& plugins) {
  return std::any_of(plugins.begin(), plugins.end(), [](const PluginConfig& plugin) {
    const auto config = json::parseObject(plugin.config, plugin.type);
    const json::Value* all = config.has_value() ? json::member(*config, "capabilities") : nullptr;
    return all != nullptr && declares(*all, kDeviceInfoCapability);
  });
}

Result<std::string> withValidAttachments(const std::string& config,
                                         const std::set<AttachmentId>& valid) {
  RAILHEAD_TRY_ASSIGN(json::Value object, json::parseObject(config, "configuration"));
  json::Value list = json::Value::array();
  for (const AttachmentId& id : valid)
    list.push_back({{"containerID", id.containerId}, {"ifname", id.ifname}});
  object["cni.dev/valid-attachments"] = std::move(list);
  return json::dump(object);
}

Result<std::string> withPrevious(const std::string& config, const std::string& previous) {
  if (previous.empty()) return config;
  RAILHEAD_TRY_ASSIGN(json::Value object, json::parseObject(config, "configuration"));
  RAILHEAD_TRY_ASSIGN(object["prevResult"], json::parseObject(previous, "prevResult"));
  return json::dump(object);
}

}  // namespace railhead::attach

#include "src/attach/nad_config.h"

#include "src/attach/inline_network.h"
#include "src/attach/plugin_config.h"
#include "src/attach/request.h"
#include "src/base/text.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr std::string_view kSriovType = "sriov";
constexpr std::string_view kRdmaType = "rdma";

bool isRails(const std::string& type) { return type == kOwnType || type == kSriovType; }

// As libcni takes these: a boolean or its name.
bool isSet(const json::Value& config, std::string_view key) {
  const json::Value* value = json::member(config, key);
  return value != nullptr && (*value == true || *value == "true");
}

struct Head {
  std::string name;
  std::string cniVersion;
};

Result<Head> readHead(const Nad& nad, const json::Value& config) {
  Head head;
  RAILHEAD_TRY_ASSIGN(head.name, json::textMember(config, "name", 253));
  if (head.name.empty()) head.name = nad.name;
  RAILHEAD_TRY(checkSpecName(head.name, "name"));
  RAILHEAD_TRY_ASSIGN(const std::string said, json::textMember(config, "cniVersion", 32));
  const auto version = cni::pluginVersion(said);
  if (!version) {
    return Error(ErrorCode::kInvalidArgument,
                 "cniVersion is " + inQuotes(said) +
                     ": 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0 are supported");
  }
  head.cniVersion = *version;
  return head;
}

// As libcni does it: each plugin of a list gets the list's name and version.
Result<PluginConfig> readPlugin(const json::Value& given, const Head& head) {
  if (!given.is_object()) {
    return Error(ErrorCode::kInvalidArgument,
                 "it is " + json::shown(given) + ": expected an object with a type");
  }
  PluginConfig plugin;
  RAILHEAD_TRY_ASSIGN(plugin.type, json::textMember(given, "type", 253));
  RAILHEAD_TRY(checkPluginType(plugin.type, "type"));
  json::Value config = given;
  config["name"] = head.name;
  config["cniVersion"] = head.cniVersion;
  // Ours to say, not the author's.
  config.erase("prevResult");
  config.erase("runtimeConfig");
  plugin.config = json::dump(config);
  return plugin;
}

Result<std::vector<PluginConfig>> readPlugins(const json::Value& config, const Head& head) {
  const json::Value* list = json::member(config, "plugins");
  if (list == nullptr) {
    RAILHEAD_TRY_ASSIGN(PluginConfig plugin, readPlugin(config, head));
    return std::vector{std::move(plugin)};
  }
  if (!list->is_array() || list->empty() || list->size() > kMaxPlugins) {
    return Error(ErrorCode::kInvalidArgument,
                 "plugins is " + json::shown(*list) + ": a list of 1 to " +
                     std::to_string(kMaxPlugins) + " objects is needed");
  }
  std::vector<PluginConfig> plugins;
  for (std::size_t i = 0; i < list->size(); ++i) {
    RAILHEAD_TRY_ASSIGN(
        PluginConfig plugin,
        readPlugin((*list)[i], head).addContext("plugins[" + std::to_string(i) + "]"));
    plugins.push_back(std::move(plugin));
  }
  return plugins;
}

Result<NetworkDefinition> railsFrom(const Nad& nad, const std::string& config) {
  RAILHEAD_TRY_ASSIGN(const InlineNetwork parsed, parseInlineNetwork(config));
  NetworkDefinition base;
  base.name = nad.name;
  base.podNamespace = nad.podNamespace;
  base.resourceName = nad.resourceName;
  base.rdma = RdmaUse::kNone;  // as when we are called as a delegate with the same configuration
  base.deviceId = parsed.deviceId;
  return parsed.over(std::move(base));
}

// Takes the rails off the front, and rdma-cni's part: the move of the RDMA device is ours.
Result<void> splitRails(const Nad& nad, Network& network) {
  auto& plugins = network.plugins;
  if (isRails(plugins.front().type)) {
    RAILHEAD_TRY_ASSIGN(network.rails, railsFrom(nad, plugins.front().config));
    plugins.erase(plugins.begin());
    const auto removed =
        std::erase_if(plugins, [](const PluginConfig& plugin) { return plugin.type == kRdmaType; });
    if (removed > 0 && network.rails->rdma == RdmaUse::kNone)
      network.rails->rdma = RdmaUse::kDevice;
  }
  for (const PluginConfig& plugin : plugins) {
    if (!isRails(plugin.type)) continue;
    return Error(ErrorCode::kInvalidArgument,
                 "type " + inQuotes(plugin.type) +
                     " is not the first of the list: rails come before what is chained to them");
  }
  return {};
}

}  // namespace

Result<Network> networkFrom(const Nad& nad, std::string_view text) {
  if (text.size() > kMaxNadConfig) {
    return Error(ErrorCode::kInvalidArgument, "config has " + std::to_string(text.size()) +
                                                  " bytes, at most " +
                                                  std::to_string(kMaxNadConfig) + " are allowed");
  }
  if (nad.resourceName.size() > 253) {
    return Error(ErrorCode::kInvalidArgument, "k8s.v1.cni.cncf.io/resourceName is " +
                                                  inQuotes(nad.resourceName) +
                                                  ": at most 253 bytes are allowed");
  }
  RAILHEAD_TRY_ASSIGN(const json::Value config, json::parseObject(text, "config"));
  RAILHEAD_TRY_ASSIGN(const Head head, readHead(nad, config));
  Network network;
  network.cniVersion = head.cniVersion;
  network.resourceName = nad.resourceName;
  network.checkDisabled = isSet(config, "disableCheck");
  network.gcDisabled = isSet(config, "disableGC");
  RAILHEAD_TRY_ASSIGN(network.plugins, readPlugins(config, head));
  RAILHEAD_TRY(splitRails(nad, network));
  return network;
}

std::string configurationName(std::string_view text) {
  const auto config = json::parseObject(text, "file");
  if (!config.has_value()) return "";
  auto name = json::textMember(*config, "name", 253);
  return name.has_value() ? std::move(*name) : std::string();
}

}  // namespace railhead::attach

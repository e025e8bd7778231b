#include "src/conflist/configuration.h"

#include "src/base/text.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace railhead::conflist {
namespace {

using Json = json::Value;

constexpr std::size_t kMaxName = 253;

Result<std::string> requiredText(const Json& object, std::string_view key, std::string_view field) {
  RAILHEAD_TRY_ASSIGN(const std::string text, json::textMember(object, key, kMaxName));
  if (!text.empty()) return text;
  return Error(ErrorCode::kInvalidArgument, std::string(field) + " is missing or empty");
}

// The runtime starts a program of this name: nothing that leads elsewhere.
Result<std::string> readType(const Json& plugin, const std::string& field) {
  if (!plugin.is_object())
    return Error(ErrorCode::kInvalidArgument,
                 field + " is " + json::shown(plugin) + ": expected an object");
  RAILHEAD_TRY_ASSIGN(std::string type, requiredText(plugin, "type", field + ".type"));
  if (type.find('/') == std::string::npos && type != "." && type != "..") return type;
  return Error(ErrorCode::kInvalidArgument,
               field + ".type is " + inQuotes(type) + ": a program's name without '/' is allowed");
}

bool wantsAnnotations(const Json& plugin) {
  const Json* capabilities = json::member(plugin, "capabilities");
  const Json* wanted = capabilities == nullptr
                           ? nullptr
                           : json::member(*capabilities, cni::kPodAnnotationsCapability);
  return wanted != nullptr && *wanted == true;
}

// A list's plugins; a configuration of one plugin is a list of one.
Result<Json> pluginsOf(const Json& config, bool list) {
  if (!list) return Json::array({config});
  const Json* plugins = json::member(config, "plugins");
  if (plugins == nullptr) return Error(ErrorCode::kInvalidArgument, "plugins is missing");
  if (!plugins->is_array() || plugins->empty() || plugins->size() > kMaxPlugins) {
    return Error(ErrorCode::kInvalidArgument, "plugins is " + json::shown(*plugins) +
                                                  ": expected a list of 1 to " +
                                                  std::to_string(kMaxPlugins) + " plugins");
  }
  return *plugins;
}

// "0.3.1" as numbers that compare; absent parts and odd text count as zero.
std::array<std::uint64_t, 3> numbers(std::string_view version) {
  std::array<std::uint64_t, 3> parts{};
  const auto words = split(version, '.');
  for (std::size_t i = 0; i < parts.size() && i < words.size(); ++i)
    parts[i] = parseUnsigned(words[i]).value_or(0);
  return parts;
}

std::string spokenVersion(const std::string& version) {
  if (cni::isSupportedVersion(version)) return version;
  const auto& versions = cni::kVersions;
  return std::string(numbers(version) < numbers(versions.front()) ? versions.front()
                                                                  : versions.back());
}

// Since 1.1.0 a list may offer several versions; those we do not speak go.
void keepSpoken(Json& list) {
  const auto offered = list.find("cniVersions");
  if (offered == list.end() || !offered->is_array()) return;
  Json spoken = Json::array();
  for (const Json& version : *offered) {
    if (version.is_string() && cni::isSupportedVersion(version.get<std::string>()))
      spoken.push_back(version);
  }
  if (spoken.empty()) {
    list.erase("cniVersions");
  } else {
    list["cniVersions"] = std::move(spoken);
  }
}

Json ourPlugin(const Chained& ours) {
  Json plugin = {{"type", kOurType}};
  if (!ours.socket.empty()) plugin["socket"] = ours.socket;
  plugin["capabilities"] = {{cni::kPodAnnotationsCapability, true}};
  return plugin;
}

bool holdsPath(const Json& value, std::string_view name) {
  if (const auto* text = value.get_ptr<const std::string*>())
    return *text == name || text->ends_with("/" + std::string(name));
  return value.is_structured() && std::any_of(value.begin(), value.end(), [&](const Json& inner) {
           return holdsPath(inner, name);
         });
}

}  // namespace

bool isListName(std::string_view name) { return name.ends_with(".conflist"); }

bool isConfigurationName(std::string_view name) {
  return isListName(name) || name.ends_with(".conf") || name.ends_with(".json");
}

bool Configuration::has(std::string_view type) const {
  return std::find(plugins.begin(), plugins.end(), type) != plugins.end();
}

bool Configuration::isMultus() const { return has("multus") || has("multus-shim"); }

Result<Configuration> readConfiguration(std::string_view text, bool list) {
  if (text.size() > kMaxFile) {
    return Error(ErrorCode::kInvalidArgument, "it has " + std::to_string(text.size()) +
                                                  " bytes, at most " + std::to_string(kMaxFile) +
                                                  " are allowed");
  }
  RAILHEAD_TRY_ASSIGN(const Json config, json::parseObject(text, "it"));
  Configuration read;
  RAILHEAD_TRY_ASSIGN(read.network, requiredText(config, "name", "name"));
  RAILHEAD_TRY_ASSIGN(read.version, json::textMember(config, "cniVersion", 32));
  RAILHEAD_TRY_ASSIGN(const Json plugins, pluginsOf(config, list));
  for (std::size_t i = 0; i < plugins.size(); ++i) {
    const std::string field = list ? "plugins[" + std::to_string(i) + "]" : "it";
    RAILHEAD_TRY_ASSIGN(std::string type, readType(plugins[i], field));
    if (type == kOurType) read.givesAnnotations = wantsAnnotations(plugins[i]);
    read.plugins.push_back(std::move(type));
  }
  return read;
}

bool namesFile(std::string_view text, std::string_view name) {
  const auto config = json::parse(text, "it");
  return config.has_value() && holdsPath(*config, name);
}

Result<std::string> chainBehind(std::string_view primary, bool list, const Chained& ours) {
  RAILHEAD_TRY_ASSIGN(const Configuration read, readConfiguration(primary, list));
  if (read.plugins.size() >= kMaxPlugins)
    return Error(ErrorCode::kInvalidArgument, "plugins is full: there is no place behind them");
  RAILHEAD_TRY_ASSIGN(Json config, json::parseObject(primary, "it"));
  RAILHEAD_TRY_ASSIGN(Json plugins, pluginsOf(config, list));
  Json chained = {{"cniVersion", spokenVersion(read.version)}, {"name", read.network}};
  if (list) {
    for (const auto& [key, value] : config.items()) {
      if (key != "cniVersion" && key != "name" && key != "plugins") chained[key] = value;
    }
    keepSpoken(chained);
  } else {
    plugins[0].erase("cniVersion");
    plugins[0].erase("name");
  }
  plugins.push_back(ourPlugin(ours));
  chained["plugins"] = std::move(plugins);
  return chained.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace railhead::conflist

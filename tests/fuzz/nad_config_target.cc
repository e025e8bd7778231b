#include "src/attach/nad_config.h"
#include "src/attach/plugin_config.h"
#include "src/json/json.h"
#include "tests/fuzz/promise.h"
#include "tests/fuzz/targets.h"

#include <nlohmann/json.hpp>

namespace railhead::fuzz {
namespace {

constexpr const char* kResult =
    R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"}]})";

attach::PluginArguments arguments() {
  attach::PluginArguments out;
  out.ips = {"10.0.0.9/24"};
  out.portMappings = "[]";
  out.podAnnotations = "{}";
  out.cniArguments = R"({"a":1})";
  out.deviceId = "0000:01:10.0";
  return out;
}

}  // namespace

bool nadConfig(std::string_view input) {
  static_cast<void>(attach::configurationName(input));
  const auto network = attach::networkFrom({"ns", "x", "r/x", ""}, input);
  if (!taken(network)) return false;
  must(network->plugins.size() <= attach::kMaxPlugins, "a list is bounded");
  const auto inputs = attach::pluginInputs(network->plugins, arguments());
  if (!taken(inputs)) return true;
  for (const auto& plugin : *inputs) {
    must(attach::checkPluginType(plugin.type, "type").has_value(), "a type is a file's name");
    must(json::parseObject(plugin.config, "config").has_value(), "a plugin gets an object");
    taken(attach::withPrevious(plugin.config, kResult));
  }
  return true;
}

}  // namespace railhead::fuzz

#include "apps/railhead/tune_options.h"

#include "apps/usage/values.h"

#include <filesystem>

#include <CLI/CLI.hpp>

namespace railhead::app {
namespace {

constexpr const char* kPluginName = "libnccl-tuner-railhead.so";
constexpr const char* kInstalled = "/usr/lib/railhead/";
// Beyond what the ranks give each other to meet: to load libraries, and to connect the rails.
constexpr double kSecondsToLoad = 90;

}  // namespace

std::string defaultTunerPlugin(const std::string& program) {
  const auto folder = std::filesystem::path(program).parent_path();
  std::error_code ignored;
  for (const auto& beside : {folder / kPluginName, folder / "../lib" / kPluginName}) {
    if (std::filesystem::exists(beside, ignored)) return beside.lexically_normal().string();
  }
  return std::string(kInstalled) + kPluginName;
}

void RankTuneOptions::addTo(CLI::App* command, const std::string& program) {
  usual_ = defaultTunerPlugin(program);
  command->add_option("--tuner-plugin", plugin,
                      "with NCCL: the plugin that takes choices by size, where the ranks run "
                      "(default: beside this program, else /usr/lib/railhead/)");
  command->add_option("--call-timeout", callTimeout, "seconds after which one call has failed")
      ->check(usage::realRange(0.1, 3600.0))
      ->capture_default_str();
}

std::vector<std::string> RankTuneOptions::words(const RankOptions& ranks) const {
  const bool inCluster = ranks.on.starts_with("kubernetes");
  const std::string usual = inCluster ? std::string(kInstalled) + kPluginName : usual_;
  return {"--tuner-plugin", plugin.empty() ? usual : plugin, "--call-timeout",
          std::to_string(callTimeout)};
}

tune::GangBenchSettings RankTuneOptions::benchSettings(const RankOptions& ranks) const {
  return {callTimeout, ranks.timeout + kSecondsToLoad};
}

}  // namespace railhead::app

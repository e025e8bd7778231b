#include "lab/kubelet/cni_runtime.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxPlugins = 32;
constexpr std::size_t kMaxAnswer = 1 << 20;
constexpr std::chrono::seconds kPluginDeadline{60};
constexpr int kBusyTries = 5;  // an installer may be writing the binary just now
constexpr const char* kAnnotations = "io.kubernetes.cri.pod-annotations";
constexpr std::array<const char*, 7> kVersions = {"1.1.0", "1.0.0", "0.4.0", "0.3.1",
                                                  "0.3.0", "0.2.0", "0.1.0"};

struct Network {
  std::string file;
  std::string name;
  std::string version;
  std::vector<json> plugins;
};

Error badConfig(const std::string& file, const std::string& what) {
  return {ErrorCode::kInvalidArgument, "CNI configuration " + file + ": " + what};
}

// Of a list "cniVersions" the newest we know, else "cniVersion", else what the specification says
// an absent version means.
std::string versionOf(const json& config) {
  if (config.contains("cniVersions") && config["cniVersions"].is_array()) {
    for (const char* version : kVersions) {
      for (const auto& offered : config["cniVersions"]) {
        if (offered == version) return version;
      }
    }
  }
  const auto version = config.find("cniVersion");
  return version != config.end() && version->is_string() ? version->get<std::string>() : "0.1.0";
}

Result<Network> parseNetwork(const std::string& file, const std::string& text) {
  const json config = json::parse(text, nullptr, false);
  if (config.is_discarded() || !config.is_object()) return badConfig(file, "not a JSON object");
  if (!config.contains("name") || !config["name"].is_string()) {
    return badConfig(file, "name: missing, a text is needed");
  }
  Network network{file, config["name"].get<std::string>(), versionOf(config), {}};
  if (config.contains("plugins") && config["plugins"].is_array()) {
    network.plugins.assign(config["plugins"].begin(), config["plugins"].end());
  } else {
    network.plugins.push_back(config);
  }
  if (network.plugins.empty() || network.plugins.size() > kMaxPlugins) {
    return badConfig(file, "plugins: " + std::to_string(network.plugins.size()) + ", 1 to " +
                               std::to_string(kMaxPlugins) + " are allowed");
  }
  for (const auto& plugin : network.plugins) {
    const bool named = plugin.is_object() && plugin.contains("type") && plugin["type"].is_string();
    if (!named || plugin["type"].get<std::string>().empty() ||
        plugin["type"].get<std::string>().find('/') != std::string::npos) {
      return badConfig(file, "plugins[].type: a program name without '/' is needed");
    }
  }
  return network;
}

Result<Network> loadNetwork(os::Filesystem& files, const std::string& folder) {
  const auto names = files.listDirectory(folder);
  const std::string remedy = "install the primary network and the agent first";
  if (!names.has_value()) {
    return Error(ErrorCode::kEnvironment, "no CNI configuration: " + names.error().message, remedy);
  }
  for (const auto& name : *names) {  // sorted
    const std::string_view view = name;
    if (!view.ends_with(".conflist") && !view.ends_with(".conf") && !view.ends_with(".json")) {
      continue;
    }
    RAILHEAD_TRY_ASSIGN(const std::string text, files.readFile(folder + "/" + name, kMaxAnswer));
    return parseNetwork(folder + "/" + name, text);
  }
  return Error(ErrorCode::kEnvironment,
               "no CNI configuration: " + folder + " has no .conflist, .conf or .json file",
               remedy);
}

bool wantsAnnotations(const json& plugin) {
  const auto capabilities = plugin.find("capabilities");
  if (capabilities == plugin.end() || !capabilities->is_object()) return false;
  const auto wanted = capabilities->find(kAnnotations);
  return wanted != capabilities->end() && *wanted == true;
}

std::string pluginError(const os::ProcessResult& result) {
  const json answer = json::parse(result.output, nullptr, false);
  if (answer.is_object() && answer.contains("msg") && answer["msg"].is_string()) {
    std::string text = answer["msg"].get<std::string>();
    if (answer.contains("code")) text = "code " + answer["code"].dump() + ": " + text;
    if (answer.contains("details") && answer["details"].is_string() &&
        !answer["details"].get<std::string>().empty()) {
      text += ": " + answer["details"].get<std::string>();
    }
    return text;
  }
  const std::string said(trim(result.errorOutput.empty() ? result.output : result.errorOutput));
  return "exit code " + std::to_string(result.exitCode) +
         (said.empty() ? " without a message" : ": " + inQuotes(said, 400));
}

// One call of one network's plugins, the same parameters for all of them.
class Caller {
 public:
  Caller(const CniRuntime::Places& places, os::Filesystem& files, os::ProcessRunner& processes,
         os::Clock& clock, const Network& network, const CniRequest& request)
      : places_(places),
        files_(files),
        processes_(processes),
        clock_(clock),
        network_(network),
        request_(request) {}

  // Standard output of the plugin.
  Result<std::string> call(const json& plugin, const char* command, const json& previous) const {
    const auto type = plugin["type"].get<std::string>();
    const std::string where = std::string("CNI ") + command + " by " + type;
    RAILHEAD_TRY_ASSIGN(const std::string program, find(type));
    os::ProcessSpec spec;
    spec.argv = {program};
    spec.environment = environment(command);
    spec.input = configure(plugin, previous).dump();
    spec.deadline = kPluginDeadline;
    spec.maxOutput = kMaxAnswer;
    RAILHEAD_TRY_ASSIGN(const os::ProcessResult result, run(spec).addContext(where));
    if (result.exitCode == 0) return result.output;
    return Error(ErrorCode::kCheckFailed, where + ": " + pluginError(result));
  }

 private:
  Result<os::ProcessResult> run(const os::ProcessSpec& spec) const {
    for (int attempt = 1;; ++attempt) {
      auto result = processes_.run(spec);
      const bool busy = !result.has_value() && result.error().code == ErrorCode::kBusy;
      if (!busy || attempt == kBusyTries) return result;
      clock_.sleepFor(std::chrono::seconds(1));
    }
  }

  Result<std::string> find(const std::string& type) const {
    for (const auto& folder : places_.binFolders) {
      const auto status = files_.status(folder + "/" + type);
      if (status.has_value() && status->kind == os::FileKind::kFile) return folder + "/" + type;
    }
    return Error(ErrorCode::kEnvironment, "CNI plugin " + inQuotes(type) + " of " + network_.file +
                                              " is not in " + join(places_.binFolders, ":"));
  }

  std::map<std::string, std::string> environment(const char* command) const {
    auto all = places_.environment;
    all["CNI_COMMAND"] = command;
    all["CNI_CONTAINERID"] = request_.containerId;
    all["CNI_NETNS"] = request_.netns;
    all["CNI_IFNAME"] = request_.interface;
    all["CNI_PATH"] = join(places_.binFolders, ":");
    all["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + request_.podNamespace +
                      ";K8S_POD_NAME=" + request_.podName +
                      ";K8S_POD_INFRA_CONTAINER_ID=" + request_.containerId +
                      ";K8S_POD_UID=" + request_.podUid;
    return all;
  }

  json configure(const json& plugin, const json& previous) const {
    json config = plugin;
    config["name"] = network_.name;
    config["cniVersion"] = network_.version;
    if (!previous.is_null()) config["prevResult"] = previous;
    if (wantsAnnotations(plugin) && !request_.annotations.empty()) {
      config["runtimeConfig"][kAnnotations] = request_.annotations;
    }
    return config;
  }

  const CniRuntime::Places& places_;
  os::Filesystem& files_;
  os::ProcessRunner& processes_;
  os::Clock& clock_;
  const Network& network_;
  const CniRequest& request_;
};

}  // namespace

Result<std::string> CniRuntime::add(const CniRequest& request) {
  RAILHEAD_TRY_ASSIGN(const Network network, loadNetwork(files_, places_.configFolder));
  const Caller caller(places_, files_, processes_, clock_, network, request);
  json result;
  for (const auto& plugin : network.plugins) {
    RAILHEAD_TRY_ASSIGN(const std::string output, caller.call(plugin, "ADD", result));
    result = json::parse(output, nullptr, false);
    if (result.is_discarded() || !result.is_object()) {
      return Error(ErrorCode::kCorrupt,
                   "CNI ADD by " + plugin["type"].get<std::string>() +
                       ": the result is not a JSON object: " + inQuotes(output));
    }
    if (!result.contains("cniVersion")) result["cniVersion"] = network.version;
  }
  return result.dump();
}

Result<void> CniRuntime::remove(const CniRequest& request, const std::string& result) {
  RAILHEAD_TRY_ASSIGN(const Network network, loadNetwork(files_, places_.configFolder));
  const Caller caller(places_, files_, processes_, clock_, network, request);
  const json previous = result.empty() ? json() : json::parse(result, nullptr, false);
  for (auto plugin = network.plugins.rbegin(); plugin != network.plugins.rend(); ++plugin) {
    const auto answered = caller.call(*plugin, "DEL", previous);
    if (!answered.has_value()) return answered.error();
  }
  return {};
}

}  // namespace railhead::lab

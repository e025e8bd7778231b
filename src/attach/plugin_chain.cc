#include "src/attach/plugin_chain.h"

#include "src/attach/failures.h"
#include "src/attach/plugin_config.h"
#include "src/attach/result.h"
#include "src/base/text.h"
#include "src/cni/protocol.h"
#include "src/json/json.h"

#include <map>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

// For plugins that call other programs; the agent's own environment is none of their business.
constexpr const char* kProgramPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kAdd = "ADD";
constexpr std::size_t kMaxShown = 400;  // bytes of a plugin's own words in an error

ErrorCode classOf(long long code) {
  switch (code) {
    case cni::kIncompatibleVersion:
    case cni::kUnsupportedField:
      return ErrorCode::kUnsupported;
    case cni::kInvalidEnvironment:
    case cni::kDecode:
    case cni::kInvalidConfig:
      return ErrorCode::kInvalidArgument;
    case cni::kTryAgain:
    case cni::kNotAvailable:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kIo;
  }
}

// What a plugin that failed says: the error object on stdout, else what it printed.
Error failureOf(const os::ProcessResult& result) {
  const auto object = json::parseObject(result.output, "stdout");
  const auto text = [&](const char* key) {
    auto value = object.has_value() ? json::textMember(*object, key, kMaxResult)
                                    : Result<std::string>(std::string());
    return value.has_value() ? std::string(trim(*value)) : std::string();
  };
  const std::string message = text("msg");
  const std::string details = text("details");
  if (message.empty() && details.empty()) {
    const std::string_view said =
        trim(result.errorOutput.empty() ? result.output : result.errorOutput);
    return Error(ErrorCode::kIo, "it ended with " + std::to_string(result.exitCode) +
                                     (said.empty() ? std::string(" and said nothing")
                                                   : ": " + inQuotes(said, kMaxShown)));
  }
  const json::Value* code = json::member(*object, "code");
  const bool number = code != nullptr && code->is_number_integer();
  std::string all = inQuotes(message.empty() ? details : message, kMaxShown);
  if (!message.empty() && !details.empty()) all += ": " + inQuotes(details, kMaxShown);
  return Error(classOf(number ? code->get<long long>() : 0), all);
}

Result<std::string> find(const PluginHost& host, const std::string& type,
                         const std::string& searchPath) {
  std::vector<std::string> folders;
  const std::string all = searchPath + ":" + host.folder;
  for (const std::string_view folder : split(all, ':')) {
    if (folder.empty()) continue;
    const std::string path = std::string(folder) + "/" + type;
    const auto status = host.files.status(path);
    if (status.has_value() && status->kind == os::FileKind::kFile) return path;
    if (folders.empty() || folders.back() != folder) folders.emplace_back(folder);
  }
  return Error(ErrorCode::kEnvironment, "it is not in " + join(folders, ", "),
               "install the CNI plugin " + type + " there, or correct the network's type");
}

using Environment = std::map<std::string, std::string>;

// What it printed. `environment`: the CNI_ variables of this call; CNI_PATH is among them.
Result<std::string> run(const PluginHost& host, const std::string& type, Environment environment,
                        std::string input) {
  RAILHEAD_TRY_ASSIGN(const std::string path, find(host, type, environment["CNI_PATH"]));
  os::ProcessSpec spec;
  spec.argv = {path};
  environment["PATH"] = kProgramPath;
  spec.environment = std::move(environment);
  spec.input = std::move(input);
  spec.deadline = host.budget ? host.budget->atMost(host.wait) : host.wait;
  if (spec.deadline.count() == 0)
    return Error(ErrorCode::kDeadlineExceeded, "no time is left for it");
  spec.maxOutput = kMaxResult;
  spec.writableSysctls = true;  // interfaces are set up by them, too
  RAILHEAD_TRY_ASSIGN(os::ProcessResult result, host.processes.run(spec));
  if (result.exitCode != 0) return failureOf(result);
  return std::move(result.output);
}

}  // namespace

Result<void> callAboutNetwork(const PluginHost& host, const char* command,
                              const PluginConfig& plugin, const std::string& searchPath) {
  const Environment environment{{"CNI_COMMAND", command},
                                {"CNI_PATH", searchPath.empty() ? host.folder : searchPath}};
  RAILHEAD_TRY(run(host, plugin.type, environment, plugin.config)
                   .addContext("CNI plugin " + plugin.type + ", " + command));
  return {};
}

PluginChains::PluginChains(PluginHost host, const Attachment& attachment, std::string netns)
    : host_(std::move(host)),
      containerId_(attachment.id.containerId),
      netns_(std::move(netns)),
      arguments_(attachment.cniArgs),
      path_(attachment.cniPath.empty() ? host_.folder : attachment.cniPath) {}

Result<std::string> PluginChains::execute(const char* command, const ChainRecord& chain,
                                          const PluginConfig& plugin,
                                          std::string_view previous) const {
  const std::string where = "CNI plugin " + plugin.type + ", " + command + " " + chain.ifname;
  auto input = withPrevious(plugin.config, std::string(previous));
  if (!input.has_value()) return std::move(input).addContext(where);
  std::string arguments = arguments_;
  if (std::string_view(command) == kAdd && !chain.argumentsForAdd.empty())
    arguments += (arguments.empty() ? "" : ";") + chain.argumentsForAdd;
  const Environment environment{{"CNI_COMMAND", command}, {"CNI_CONTAINERID", containerId_},
                                {"CNI_NETNS", netns_},    {"CNI_IFNAME", chain.ifname},
                                {"CNI_ARGS", arguments},  {"CNI_PATH", path_}};
  return run(host_, plugin.type, environment, std::move(*input)).addContext(where);
}

Result<void> PluginChains::checkInstalled(const ChainRecord& chain) const {
  for (const PluginConfig& plugin : chain.plugins) {
    RAILHEAD_TRY(find(host_, plugin.type, path_)
                     .addContext("network " + chain.network + ": CNI plugin " + plugin.type));
  }
  return {};
}

// `tuning` makes its folder itself, with a mode (0600) that only a process with CAP_DAC_OVERRIDE
// can use, and the agent has given that up.
Result<void> PluginChains::makeDataFolder(const PluginConfig& plugin) const {
  if (host_.state.empty()) return {};
  RAILHEAD_TRY_ASSIGN(const json::Value config, json::parse(plugin.config, "config"));
  const json::Value* folder = json::member(config, kDataFolder);
  if (folder == nullptr || !folder->is_string()) return {};
  const std::string path = folder->get<std::string>();
  const bool ours = path.starts_with(host_.state + "/");
  if (!ours || path.find("/../") != std::string::npos || path.ends_with("/..")) return {};
  return host_.files.makeDirectories(path, 0700);
}

Result<void> PluginChains::add(ChainRecord& chain, std::string_view previous,
                               const std::function<Result<void>()>& beforeEach) const {
  std::string result(previous);
  for (std::size_t i = 0; i < chain.plugins.size(); ++i) {
    chain.begun = i + 1;
    RAILHEAD_TRY(beforeEach());
    RAILHEAD_TRY(makeDataFolder(chain.plugins[i]));
    RAILHEAD_TRY_ASSIGN(result, execute(kAdd, chain, chain.plugins[i], result));
    RAILHEAD_TRY_ASSIGN(result, resultIn(chain.cniVersion, result,
                                         "the result of CNI plugin " + chain.plugins[i].type));
    chain.result = result;
  }
  return {};
}

Result<void> PluginChains::del(const ChainRecord& chain) const {
  Failures failures;
  // Since 0.4.0 a DEL gets what ADD gave.
  const std::string previous = cni::hasCheck(chain.cniVersion) ? chain.result : std::string();
  for (std::size_t i = chain.begun; i > 0; --i) {
    const auto done = execute("DEL", chain, chain.plugins[i - 1], previous);
    failures.add(done.has_value() ? Result<void>() : Result<void>(done.error()));
  }
  return failures.outcome();
}

Result<void> PluginChains::check(const ChainRecord& chain) const {
  if (!cni::hasCheck(chain.cniVersion) || chain.checkDisabled) return {};
  for (const PluginConfig& plugin : chain.plugins)
    RAILHEAD_TRY(execute("CHECK", chain, plugin, chain.result));
  return {};
}

}  // namespace railhead::attach

#include "src/attach/request.h"

#include "src/attach/inline_network.h"
#include "src/base/text.h"
#include "src/json/json.h"

#include <algorithm>
#include <array>
#include <optional>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr const char* kDefaultNetwork = "v1.multus-cni.io/default-network";
constexpr std::size_t kMaxPath = 4096;
constexpr std::size_t kMaxFolders = 16;
constexpr std::size_t kMaxValidAttachments = 16384;
constexpr std::array kCommands{CniCommand::kAdd, CniCommand::kDel, CniCommand::kCheck,
                               CniCommand::kGc, CniCommand::kStatus};

Error invalid(std::string_view field, std::string_view value, std::string_view allowed) {
  return Error(ErrorCode::kInvalidArgument,
               std::string(field) + " is " + inQuotes(value) + ": " + std::string(allowed));
}

// Which part of the call is wrong decides the CNI code.
cni::CniError refusal(int code, Error error) { return {code, error.message, error.remedy}; }

std::string variable(const cni::Call& call, const std::string& name) {
  const auto found = call.environment.find(name);
  return found == call.environment.end() ? std::string() : found->second;
}

Result<CniCommand> parseCommand(std::string_view text) {
  for (const CniCommand command : kCommands) {
    if (text == cniCommandName(command)) return command;
  }
  return invalid("CNI_COMMAND", text, "ADD, DEL, CHECK, GC, STATUS and VERSION are allowed");
}

// "K8S_POD_NAME=a;K8S_POD_NAMESPACE=b"; keys that are not ours belong to others.
Result<void> parseArguments(const std::string& text, PodId& pod) {
  for (const auto pair : split(text, ';')) {
    if (trim(pair).empty()) continue;
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos)
      return invalid("CNI_ARGS", pair, "KEY=VALUE pairs joined by ';' are allowed");
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value = pair.substr(equals + 1);
    const bool name = key == "K8S_POD_NAME";
    const bool space = key == "K8S_POD_NAMESPACE";
    if (!name && !space && key != "K8S_POD_UID") continue;
    if (value.size() > 253 || value.find('/') != std::string_view::npos)
      return invalid("CNI_ARGS " + std::string(key), value, "at most 253 bytes without '/'");
    (name ? pod.name : space ? pod.podNamespace : pod.uid) = value;
  }
  return {};
}

ArgumentsOfInterface interfaceArguments(const std::string& text) {
  ArgumentsOfInterface arguments;
  for (const auto pair : split(text, ';')) {
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view value = pair.substr(equals + 1);
    if (pair.substr(0, equals) == "MAC") arguments.mac = value;
    if (pair.substr(0, equals) == "IP") arguments.ips = value;
  }
  return arguments;
}

// Folders of plugins, joined by ':'. A relative one would mean something else for the agent.
Result<void> checkSearchPath(const std::string& path) {
  if (path.empty()) return {};
  const auto folders = split(path, ':');
  const bool absolute = std::all_of(folders.begin(), folders.end(), [](std::string_view folder) {
    return folder.empty() || folder.front() == '/';
  });
  if (absolute && folders.size() <= kMaxFolders && path.size() <= kMaxPath &&
      path.find('\0') == std::string::npos) {
    return {};
  }
  return invalid("CNI_PATH", path, "at most 16 absolute paths joined by ':' are allowed");
}

Result<void> parseEnvironment(const cni::Call& call, CniRequest& request) {
  request.cniPath = variable(call, "CNI_PATH");
  RAILHEAD_TRY(checkSearchPath(request.cniPath));
  if (request.command == CniCommand::kGc || request.command == CniCommand::kStatus) return {};
  request.id = {variable(call, "CNI_CONTAINERID"), variable(call, "CNI_IFNAME")};
  RAILHEAD_TRY(checkSpecName(request.id.containerId, "CNI_CONTAINERID"));
  RAILHEAD_TRY(checkInterfaceName(request.id.ifname, "CNI_IFNAME"));
  request.netnsPath = variable(call, "CNI_NETNS");
  const std::string& path = request.netnsPath;
  // DEL comes without a path when the namespace is gone already.
  const bool optional = request.command == CniCommand::kDel && path.empty();
  const bool good =
      path.starts_with('/') && path.size() <= kMaxPath && path.find('\0') == std::string::npos;
  if (!good && !optional) return invalid("CNI_NETNS", path, "an absolute path is needed");
  request.cniArgs = variable(call, "CNI_ARGS");
  return parseArguments(request.cniArgs, request.pod);
}

Result<void> readAnnotation(const json::Value& config, CniRequest& request) {
  const json::Value* runtime = json::member(config, "runtimeConfig");
  if (runtime == nullptr) return {};
  const json::Value* annotations = json::member(*runtime, cni::kPodAnnotationsCapability);
  if (annotations == nullptr) return {};
  RAILHEAD_TRY_ASSIGN(request.networksAnnotation,
                      json::textMember(*annotations, cni::kNetworksAnnotation, kMaxAnnotation));
  if (trim(request.networksAnnotation).empty()) request.networksAnnotation.clear();
  if (request.networksAnnotation.empty()) return {};
  request.podAnnotations = json::dump(*annotations);
  if (const json::Value* primary = json::member(*annotations, kDefaultNetwork);
      primary != nullptr && primary->is_string())
    request.defaultNetwork = trim(primary->get<std::string>());
  return {};
}

Result<void> readValidAttachments(const json::Value& config, CniRequest& request) {
  const json::Value* list = json::member(config, "cni.dev/valid-attachments");
  if (list == nullptr)
    list = json::member(config, "cni.dev/attachments");  // the name before a correction
  // Without the list everything would look invalid.
  if (list == nullptr || !list->is_array() || list->size() > kMaxValidAttachments) {
    return Error(ErrorCode::kInvalidArgument,
                 "cni.dev/valid-attachments: GC needs a list of at most " +
                     std::to_string(kMaxValidAttachments) + " objects");
  }
  for (const json::Value& item : *list) {
    AttachmentId id;
    RAILHEAD_TRY_ASSIGN(id.containerId, json::textMember(item, "containerID", 253));
    RAILHEAD_TRY_ASSIGN(id.ifname, json::textMember(item, "ifname", 64));
    request.validAttachments.push_back(std::move(id));
  }
  return {};
}

Result<void> readConfig(const json::Value& config, std::string_view text, CniRequest& request) {
  RAILHEAD_TRY_ASSIGN(request.networkName, json::textMember(config, "name", 253));
  RAILHEAD_TRY(checkSpecName(request.networkName, "name"));
  if (const json::Value* previous = json::member(config, "prevResult"))
    request.prevResult = json::dump(*previous);
  RAILHEAD_TRY_ASSIGN(request.deviceId, json::textMember(config, "deviceID", 512));
  if (!request.deviceId.empty()) {
    // DEL must work with whatever the configuration says by now.
    if (request.command == CniCommand::kDel) return {};
    RAILHEAD_TRY_ASSIGN(request.inlineNetwork,
                        parseInlineNetwork(text, interfaceArguments(request.cniArgs)));
  } else if (request.command == CniCommand::kGc || request.command == CniCommand::kStatus) {
    // No device is told with these; the IPAM plugin of a delegate's network is.
    RAILHEAD_TRY_ASSIGN(request.inlineNetwork, parseInlineNetwork(text));
  } else if (request.command != CniCommand::kDel) {
    RAILHEAD_TRY(readAnnotation(config, request));
  }
  if (request.command == CniCommand::kGc) return readValidAttachments(config, request);
  return {};
}

}  // namespace

std::string_view cniCommandName(CniCommand command) {
  switch (command) {
    case CniCommand::kAdd:
      return "ADD";
    case CniCommand::kDel:
      return "DEL";
    case CniCommand::kCheck:
      return "CHECK";
    case CniCommand::kGc:
      return "GC";
    case CniCommand::kStatus:
      return "STATUS";
  }
  return "";
}

tl::expected<CniRequest, CniRefusal> parseRequest(const cni::Call& call) {
  CniRequest request;
  const auto refuse = [&](int code, Error error) {
    return tl::make_unexpected(CniRefusal{refusal(code, std::move(error)), request.cniVersion});
  };
  const auto config = json::parseObject(call.input, "stdin");
  const auto version = config.has_value() ? json::textMember(*config, "cniVersion", 32)
                                          : Result<std::string>(config.error());
  // Whatever is refused is answered in the version of the call, if that is known.
  if (version.has_value() && cni::isSupportedVersion(*version)) request.cniVersion = *version;
  const auto command = parseCommand(call.command);
  if (!command.has_value()) return refuse(cni::kInvalidEnvironment, command.error());
  request.command = *command;
  request.patience = call.patience;
  if (!config.has_value()) return refuse(cni::kDecode, config.error());
  if (!version.has_value()) return refuse(cni::kDecode, version.error());
  if (!cni::isSupportedVersion(*version)) {
    return refuse(cni::kIncompatibleVersion,
                  invalid("cniVersion", *version, "0.3.1, 0.4.0, 1.0.0 and 1.1.0 are supported"));
  }
  if (auto read = parseEnvironment(call, request); !read.has_value())
    return refuse(cni::kInvalidEnvironment, read.error());
  if (auto read = readConfig(*config, call.input, request); !read.has_value())
    return refuse(cni::codeFor(read.error().code), read.error());
  return request;
}

}  // namespace railhead::attach

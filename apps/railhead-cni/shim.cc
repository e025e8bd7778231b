#include "apps/railhead-cni/shim.h"

#include "src/base/text.h"
#include "src/cni/names.h"
#include "src/json/json.h"
#include "src/os/unix_socket.h"

#include <cerrno>

#include <nlohmann/json.hpp>

namespace railhead::shim {
namespace {

using cni::Reply;
using Json = json::Value;

struct Config {
  std::string version;
  std::string socket;
  bool wantsNetworks = false;  // the pod's annotation names some
  bool hasDevice = false;      // called by Multus with a device
  bool chained = false;        // the runtime was told to pass annotations
  std::string previous;        // JSON text; empty when there is none
};

static_assert(cni::kRequestBound + cni::kUndoBound + kConnectDeadline < cni::kAnswerWait,
              "an answer that comes too late is a pod that nobody knows of");

std::string variable(const cni::Call& call, const std::string& name) {
  const auto found = call.environment.find(name);
  return found == call.environment.end() ? std::string() : found->second;
}

Reply failure(int code, const Error& error, const std::string& version) {
  return {1, cni::encodeError({code, error.message, error.remedy}, version)};
}

Result<void> readAnnotation(const Json& config, Config& read) {
  if (const Json* capabilities = json::member(config, "capabilities"))
    read.chained = json::member(*capabilities, cni::kPodAnnotationsCapability) != nullptr;
  const Json* runtime = json::member(config, "runtimeConfig");
  if (runtime == nullptr) return {};
  const Json* annotations = json::member(*runtime, cni::kPodAnnotationsCapability);
  if (annotations == nullptr) return {};
  read.chained = true;
  RAILHEAD_TRY_ASSIGN(const std::string networks,
                      json::textMember(*annotations, cni::kNetworksAnnotation, cni::kMaxStdin));
  const std::string_view text = trim(networks);
  read.wantsNetworks = !text.empty() && text != "[]";
  return {};
}

Result<void> readConfig(const Json& config, Config& read) {
  RAILHEAD_TRY_ASSIGN(read.socket, json::textMember(config, "socket", 107));
  RAILHEAD_TRY_ASSIGN(const std::string device, json::textMember(config, "deviceID", 512));
  read.hasDevice = !device.empty();
  if (const Json* previous = json::member(config, "prevResult"))
    read.previous = json::dump(*previous);
  return readAnnotation(config, read);
}

// ADD, DEL and CHECK of a pod that asks for nothing.
Reply passThrough(const cni::Call& call, const Config& config) {
  if (call.command != "ADD") return {0, ""};
  if (!config.previous.empty()) return {0, config.previous};
  return failure(cni::kInvalidConfig,
                 Error(ErrorCode::kInvalidArgument, "stdin holds neither prevResult nor deviceID",
                       "put railhead behind the primary plugin in a conflist, or let Multus call "
                       "it for a network with a resourceName"),
                 config.version);
}

bool isLocal(const cni::Call& call, const Config& config) {
  const bool ofPod = call.command == "ADD" || call.command == "DEL" || call.command == "CHECK";
  return ofPod && !config.wantsNetworks && !config.hasDevice;
}

bool nobodyListens(const Result<Reply>& asked) {
  if (asked.has_value()) return false;
  const int reason = asked.error().errnoValue;
  return reason == ECONNREFUSED || reason == ENOENT;
}

// A chained DEL that the agent did not carry out; `otherwise` where it may not pass.
Reply passDel(const cni::Call& call, const Config& config, const std::string& socket, bool away,
              const LeaveMark& mark, Reply otherwise) {
  const auto left = mark(socket.substr(0, socket.rfind('/')), call, away);
  // Without a prevResult no ADD of this chain came to its end, and the agent undoes by itself what
  // it half did. (Before 0.4.0 a runtime never passes one.)
  if (left.has_value() || config.previous.empty()) return {0, ""};
  return otherwise;
}

Reply passOn(const cni::Call& call, const Config& config, const std::string& defaultSocket,
             const AskAgent& ask, const LeaveMark& mark) {
  const std::string& socket = config.socket.empty() ? defaultSocket : config.socket;
  auto reply = ask(socket, call);
  const bool away = nobodyListens(reply);
  const bool passes = call.command == "DEL" && config.chained;
  if (reply.has_value()) {
    if (!passes || reply->exitCode == 0) return std::move(*reply);
    return passDel(call, config, socket, away, mark, std::move(*reply));
  }
  // An agent that is away must not make the node unready for pods that do not need it.
  if (call.command == "STATUS" && config.chained) return {0, ""};
  const int code = call.command == "STATUS" ? cni::kNotAvailable : cni::kTryAgain;
  Reply failed = failure(
      code,
      Error(ErrorCode::kUnavailable, "the railhead agent does not answer: " + reply.error().message,
            "see whether the railhead-agent pod of this node is running"),
      config.version);
  return passes ? passDel(call, config, socket, away, mark, std::move(failed)) : failed;
}

}  // namespace

Result<cni::Reply> askOverSocket(const std::string& socketPath, const cni::Call& call) {
  const auto start = std::chrono::steady_clock::now();
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd fd, os::connectUnix(socketPath, start + kConnectDeadline));
  cni::Call asked = call;
  asked.patience = std::chrono::duration_cast<std::chrono::milliseconds>(
      start + cni::kAnswerWait - std::chrono::steady_clock::now());
  RAILHEAD_TRY(os::sendFrame(fd.get(), cni::encodeCall(asked), start + kConnectDeadline));
  RAILHEAD_TRY_ASSIGN(const std::string frame,
                      os::receiveFrame(fd.get(), start + cni::kAnswerWait, cni::kMaxFrame));
  return cni::decodeReply(frame);
}

Result<void> leaveMark(os::Filesystem& files, const std::string& stateFolder, const cni::Call& call,
                       bool away) {
  const std::string container = variable(call, "CNI_CONTAINERID");
  const std::string ifname = variable(call, "CNI_IFNAME");
  RAILHEAD_TRY(cni::checkSpecName(container, "CNI_CONTAINERID"));
  RAILHEAD_TRY(cni::checkInterfaceName(ifname, "CNI_IFNAME"));
  const std::string key = cni::attachmentKey(container, ifname);
  if (!files.exists(stateFolder)) return {};
  if (away && !files.exists(cni::attachmentRecord(stateFolder, key))) return {};
  return files.makeDirectories(cni::deletionMark(stateFolder, key), 0700);
}

Result<void> leaveMarkOnNode(const std::string& stateFolder, const cni::Call& call, bool away) {
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  return leaveMark(*files, stateFolder, call, away);
}

Reply answer(const cni::Call& call, const std::string& defaultSocket, const AskAgent& ask,
             const LeaveMark& mark) {
  Config read;
  const auto config = json::parseObject(call.input, "stdin");
  if (call.command == "VERSION") {
    const auto version =
        config.has_value() ? json::textMember(*config, "cniVersion", 32) : Result<std::string>("");
    return {0, cni::encodeVersions(version.value_or(""))};
  }
  if (!config.has_value()) return failure(cni::kDecode, config.error(), "");
  auto version = json::textMember(*config, "cniVersion", 32);
  if (!version.has_value()) return failure(cni::kDecode, version.error(), "");
  if (!cni::isSupportedVersion(*version)) {
    return failure(
        cni::kIncompatibleVersion,
        Error(ErrorCode::kInvalidArgument, "cniVersion is " + inQuotes(*version) +
                                               ": 0.3.1, 0.4.0, 1.0.0 and 1.1.0 are supported"),
        "");
  }
  read.version = *version;
  if (auto done = readConfig(*config, read); !done.has_value()) {
    // DEL must not fail for what ADD refused: the agent decides by what it knows.
    if (call.command != "DEL") return failure(cni::kInvalidConfig, done.error(), read.version);
    read.wantsNetworks = true;
  }
  if (isLocal(call, read)) return passThrough(call, read);
  return passOn(call, read, defaultSocket, ask, mark);
}

}  // namespace railhead::shim

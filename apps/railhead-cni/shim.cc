#include "apps/railhead-cni/shim.h"

#include "src/base/text.h"
#include "src/cni/json_input.h"
#include "src/os/unix_socket.h"

#include <nlohmann/json.hpp>

namespace railhead::shim {
namespace {

using cni::Json;
using cni::Reply;

struct Config {
  std::string version;
  std::string socket;
  bool wantsNetworks = false;  // the pod's annotation names some
  bool hasDevice = false;      // called by Multus with a device
  bool chained = false;        // the runtime was told to pass annotations
  std::string previous;        // JSON text; empty when there is none
};

Reply failure(int code, const Error& error, const std::string& version) {
  return {1, cni::encodeError({code, error.message, error.remedy}, version)};
}

Result<void> readAnnotation(const Json& config, Config& read) {
  if (const Json* capabilities = cni::member(config, "capabilities"))
    read.chained = cni::member(*capabilities, cni::kPodAnnotationsCapability) != nullptr;
  const Json* runtime = cni::member(config, "runtimeConfig");
  if (runtime == nullptr) return {};
  const Json* annotations = cni::member(*runtime, cni::kPodAnnotationsCapability);
  if (annotations == nullptr) return {};
  read.chained = true;
  RAILHEAD_TRY_ASSIGN(const std::string networks,
                      cni::textMember(*annotations, cni::kNetworksAnnotation, cni::kMaxStdin));
  const std::string_view text = trim(networks);
  read.wantsNetworks = !text.empty() && text != "[]";
  return {};
}

Result<void> readConfig(const Json& config, Config& read) {
  RAILHEAD_TRY_ASSIGN(read.socket, cni::textMember(config, "socket", 107));
  RAILHEAD_TRY_ASSIGN(const std::string device, cni::textMember(config, "deviceID", 512));
  read.hasDevice = !device.empty();
  if (const Json* previous = cni::member(config, "prevResult"))
    read.previous = cni::dumpJson(*previous);
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

Reply passOn(const cni::Call& call, const Config& config, const std::string& defaultSocket,
             const AskAgent& ask) {
  const std::string& socket = config.socket.empty() ? defaultSocket : config.socket;
  auto reply = ask(socket, call);
  if (reply.has_value()) return std::move(*reply);
  // An agent that is away must not make the node unready for pods that do not need it.
  if (call.command == "STATUS" && config.chained) return {0, ""};
  // Without a prevResult no ADD of this chain came to its end; what the agent may have half done it
  // undoes itself. To fail here would keep the primary plugin from freeing what it gave, and
  // containerd does not ask twice. (Before 0.4.0 a runtime never passes one.)
  if (call.command == "DEL" && config.chained && config.previous.empty() &&
      config.version != "0.3.1") {
    return {0, ""};
  }
  const int code = call.command == "STATUS" ? cni::kNotAvailable : cni::kTryAgain;
  return failure(
      code,
      Error(ErrorCode::kUnavailable, "the railhead agent does not answer: " + reply.error().message,
            "see whether the railhead-agent pod of this node is running"),
      config.version);
}

}  // namespace

Result<cni::Reply> askOverSocket(const std::string& socketPath, const cni::Call& call) {
  const auto start = std::chrono::steady_clock::now();
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd fd, os::connectUnix(socketPath, start + kConnectDeadline));
  RAILHEAD_TRY(os::sendFrame(fd.get(), cni::encodeCall(call), start + kConnectDeadline));
  RAILHEAD_TRY_ASSIGN(const std::string frame,
                      os::receiveFrame(fd.get(), start + kAnswerDeadline, cni::kMaxFrame));
  return cni::decodeReply(frame);
}

Reply answer(const cni::Call& call, const std::string& defaultSocket, const AskAgent& ask) {
  Config read;
  const auto config = cni::parseJsonObject(call.input, "stdin");
  if (call.command == "VERSION") {
    const auto version =
        config.has_value() ? cni::textMember(*config, "cniVersion", 32) : Result<std::string>("");
    return {0, cni::encodeVersions(version.value_or(""))};
  }
  if (!config.has_value()) return failure(cni::kDecode, config.error(), "");
  auto version = cni::textMember(*config, "cniVersion", 32);
  if (!version.has_value()) return failure(cni::kDecode, version.error(), "");
  if (!cni::isSupportedVersion(*version)) {
    return failure(
        cni::kIncompatibleVersion,
        Error(ErrorCode::kInvalidArgument, "cniVersion is " + railhead::quoted(*version) +
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
  return passOn(call, read, defaultSocket, ask);
}

}  // namespace railhead::shim

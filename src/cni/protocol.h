// What the CNI shim and the agent share: versions, the error object, the two frames between them.
// Pure functions; thread-safe. A library of its own (base and JSON only), so that the shim stays
// small.
#pragma once

#include "src/base/result.h"

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace railhead::cni {

inline constexpr std::size_t kMaxStdin = 1 << 20;  // bytes of network configuration read
// A frame carries the stdin as a JSON string: escaping may double it.
inline constexpr std::size_t kMaxFrame = 4 << 20;

// How long the agent is at work on one request, and then on undoing it: so long that the shim still
// gets the answer (it waits for kAnswerWait), whatever plugins do.
inline constexpr std::chrono::seconds kRequestBound{40};
inline constexpr std::chrono::seconds kUndoBound{10};
inline constexpr std::chrono::seconds kAnswerWait{60};

// Set by the runtime in runtimeConfig when the configuration declares the capability.
inline constexpr std::string_view kPodAnnotationsCapability = "io.kubernetes.cri.pod-annotations";
inline constexpr std::string_view kNetworksAnnotation = "k8s.v1.cni.cncf.io/networks";

inline constexpr std::array<std::string_view, 4> kVersions{"0.3.1", "0.4.0", "1.0.0", "1.1.0"};
inline constexpr std::string_view kLatestVersion = kVersions.back();
bool isSupportedVersion(std::string_view version);

// The version in which a plugin of another author is called whose network says `version`: older
// plugins are, too. Itself from 0.3.0 on, 0.3.1 for older ones and when nothing is said; nothing
// for one that we do not know.
std::optional<std::string_view> pluginVersion(std::string_view version);
// CHECK, and prevResult at DEL, exist since 0.4.0.
bool hasCheck(std::string_view version);

// The specification's well-known codes; ours begin at 100.
enum Code : int {
  kIncompatibleVersion = 1,
  kUnsupportedField = 2,
  kInvalidEnvironment = 4,
  kIo = 5,
  kDecode = 6,
  kInvalidConfig = 7,
  kTryAgain = 11,
  kNotAvailable = 50,
};

struct CniError {
  int code = kTryAgain;
  std::string message;
  std::string details;  // the remedy; empty when there is nothing to say
};

// The one table from error class to CNI code.
int codeFor(ErrorCode code);
CniError errorFrom(const Error& error);
// Adds where we were: "network 'a': " + message.
CniError withContext(CniError error, std::string_view where);

// The error object for stdout. An unsupported `version` is answered in the latest one.
std::string encodeError(const CniError& error, std::string_view version);
// The answer to VERSION.
std::string encodeVersions(std::string_view version);

// One request of the runtime, as the shim passes it on.
struct Call {
  std::string command;                             // CNI_COMMAND
  std::map<std::string, std::string> environment;  // the CNI_ variables that were set
  std::string input;                               // stdin, unchanged
  // How long the shim waits for the answer from when it asks; nothing: not said.
  std::optional<std::chrono::milliseconds> patience;
};

struct Reply {
  int exitCode = 0;
  std::string output;  // for stdout, unchanged
};

std::string encodeCall(const Call& call);
Result<Call> decodeCall(std::string_view frame);
std::string encodeReply(const Reply& reply);
Result<Reply> decodeReply(std::string_view frame);

}  // namespace railhead::cni

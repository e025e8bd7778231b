#include "src/cni/protocol.h"

#include "src/json/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::cni {
namespace {

constexpr std::chrono::milliseconds kMaxPatience{600'000};

std::string_view answerVersion(std::string_view asked) {
  return isSupportedVersion(asked) ? asked : kLatestVersion;
}

}  // namespace

bool isSupportedVersion(std::string_view version) {
  return std::find(kVersions.begin(), kVersions.end(), version) != kVersions.end();
}

std::optional<std::string_view> pluginVersion(std::string_view version) {
  if (version.empty() || version == "0.1.0" || version == "0.2.0") return kVersions.front();
  if (version == "0.3.0") return "0.3.0";  // the same results as 0.3.1
  const auto found = std::find(kVersions.begin(), kVersions.end(), version);
  return found == kVersions.end() ? std::nullopt : std::optional(*found);
}

bool hasCheck(std::string_view version) { return !version.starts_with("0.3."); }

int codeFor(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return kInvalidConfig;
    case ErrorCode::kBusy:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return kTryAgain;
    case ErrorCode::kIo:
      return kIo;
    case ErrorCode::kCorrupt:
      return kDecode;
    case ErrorCode::kUnsupported:
      return kUnsupportedField;
    // Not code 3: it tells the runtime that no DEL is needed.
    case ErrorCode::kNotFound:
      return 100;
    case ErrorCode::kAlreadyExists:
      return 101;
    case ErrorCode::kPermissionDenied:
      return 102;
    case ErrorCode::kExhausted:
      return 103;
    case ErrorCode::kCheckFailed:
      return 104;
    case ErrorCode::kEnvironment:
      return 105;
    case ErrorCode::kInternal:
      return 199;
  }
  return 199;
}

CniError errorFrom(const Error& error) {
  return {codeFor(error.code), error.message, error.remedy};
}

CniError withContext(CniError error, std::string_view where) {
  error.message.insert(0, std::string(where) + ": ");
  return error;
}

std::string encodeError(const CniError& error, std::string_view version) {
  json::Value out;
  out["cniVersion"] = answerVersion(version);
  out["code"] = error.code;
  out["msg"] = error.message;
  if (!error.details.empty()) out["details"] = error.details;
  return json::dump(out);
}

std::string encodeVersions(std::string_view version) {
  json::Value out;
  out["cniVersion"] = answerVersion(version);
  out["supportedVersions"] = kVersions;
  return json::dump(out);
}

std::string encodeCall(const Call& call) {
  json::Value out;
  out["command"] = call.command;
  out["env"] = call.environment;
  out["stdin"] = call.input;
  if (call.patience) out["patienceMs"] = call.patience->count();
  return json::dump(out);
}

Result<Call> decodeCall(std::string_view frame) {
  Call call;
  RAILHEAD_TRY_ASSIGN(const json::Value object, json::parseObject(frame, "request frame"));
  RAILHEAD_TRY_ASSIGN(call.command, json::textMember(object, "command", 16));
  RAILHEAD_TRY_ASSIGN(call.input, json::textMember(object, "stdin", kMaxStdin));
  if (const json::Value* environment = json::member(object, "env")) {
    if (!environment->is_object() || environment->size() > 16) {
      return Error(ErrorCode::kInvalidArgument, "env is " + json::shown(*environment) +
                                                    ": expected an object of at most 16 strings");
    }
    for (const auto& [name, value] : environment->items()) {
      RAILHEAD_TRY_ASSIGN(call.environment[name], json::textMember(*environment, name, 64 << 10));
    }
  }
  // A shim of before says nothing.
  if (const json::Value* patience = json::member(object, "patienceMs")) {
    constexpr auto kMost = static_cast<std::uint64_t>(kMaxPatience.count());
    if (!patience->is_number_unsigned() || patience->get<std::uint64_t>() > kMost) {
      return Error(ErrorCode::kInvalidArgument,
                   "patienceMs is " + json::shown(*patience) + ": 0 to " +
                       std::to_string(kMaxPatience.count()) + " are allowed");
    }
    call.patience = std::chrono::milliseconds(patience->get<std::int64_t>());
  }
  return call;
}

std::string encodeReply(const Reply& reply) {
  json::Value out;
  out["exitCode"] = reply.exitCode;
  out["stdout"] = reply.output;
  return json::dump(out);
}

Result<Reply> decodeReply(std::string_view frame) {
  Reply reply;
  RAILHEAD_TRY_ASSIGN(const json::Value object, json::parseObject(frame, "answer frame"));
  const json::Value* exitCode = json::member(object, "exitCode");
  if (exitCode == nullptr || (*exitCode != 0 && *exitCode != 1)) {
    return Error(ErrorCode::kCorrupt, "answer frame: exitCode must be 0 or 1");
  }
  reply.exitCode = *exitCode == 0 ? 0 : 1;
  RAILHEAD_TRY_ASSIGN(reply.output, json::textMember(object, "stdout", kMaxFrame));
  return reply;
}

}  // namespace railhead::cni

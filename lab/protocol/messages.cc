#include "lab/protocol/messages.h"

#include "src/base/text.h"

#include <initializer_list>

#include <nlohmann/json.hpp>

namespace railhead::lab {

namespace {

using Json = nlohmann::json;

// Strings from programs need not be UTF-8; what is not is replaced instead of thrown about.
std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Error wrong(std::string_view message, std::string_view field, const Json& value,
            std::string_view allowed) {
  return Error(ErrorCode::kInvalidArgument,
               std::string(message) + ": field '" + std::string(field) + "' is " +
                   inQuotes(dump(value)) + "; allowed is " + std::string(allowed));
}

Result<Json> parseObject(std::string_view message, std::string_view text,
                         std::initializer_list<std::string_view> fields) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(message) + ": payload " + inQuotes(text) + " is no JSON object");
  }
  for (const auto& [key, value] : json.items()) {
    bool known = false;
    for (std::string_view field : fields) known = known || key == field;
    if (!known) {
      std::string allowed;
      for (std::string_view field : fields) {
        allowed += (allowed.empty() ? "'" : ", '") + std::string(field) + "'";
      }
      return Error(ErrorCode::kInvalidArgument, std::string(message) + ": unknown field " +
                                                    inQuotes(key) + "; allowed are " + allowed);
    }
  }
  return json;
}

Result<int> integerField(std::string_view message, const Json& json, std::string_view field,
                         int least, int most) {
  const auto found = json.find(field);
  const std::string allowed =
      "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  if (found == json.end()) return wrong(message, field, Json(), allowed);
  if (!found->is_number_integer()) return wrong(message, field, *found, allowed);
  const auto value = found->get<std::int64_t>();
  if (value < least || value > most) return wrong(message, field, *found, allowed);
  return static_cast<int>(value);
}

// A string that can be handed to execve: present, not longer than a kernel takes, no NUL inside.
bool isArgument(const Json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() < 128 * 1024 && text.find('\0') == std::string::npos;
}

constexpr std::string_view kArgumentAllowed = "text without NUL of less than 128 KiB";

}  // namespace

std::string ExecRequest::encode() const {
  return dump(Json{{"argv", argv}, {"env", env}, {"cwd", cwd}});
}

Result<ExecRequest> ExecRequest::parse(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject("exec", text, {"argv", "env", "cwd"}));
  ExecRequest request;
  const auto argv = json.find("argv");
  if (argv == json.end() || !argv->is_array() || argv->empty()) {
    return wrong("exec", "argv", argv == json.end() ? Json() : *argv, "a list with a program name");
  }
  for (const Json& argument : *argv) {
    if (!isArgument(argument)) return wrong("exec", "argv", argument, kArgumentAllowed);
    request.argv.push_back(argument.get<std::string>());
  }
  if (request.argv.front().empty()) {
    return wrong("exec", "argv", *argv, "a list with a program name");
  }
  if (const auto env = json.find("env"); env != json.end()) {
    if (!env->is_object()) return wrong("exec", "env", *env, "an object of names and texts");
    for (const auto& [name, value] : env->items()) {
      if (name.empty() || name.find('=') != std::string::npos || !isArgument(Json(name))) {
        return wrong("exec", "env", Json(name), "a name without '='");
      }
      if (!isArgument(value)) return wrong("exec", "env." + name, value, kArgumentAllowed);
      request.env.emplace(name, value.get<std::string>());
    }
  }
  if (const auto cwd = json.find("cwd"); cwd != json.end()) {
    if (!isArgument(*cwd) || !cwd->get_ref<const std::string&>().starts_with('/')) {
      return wrong("exec", "cwd", *cwd, "an absolute path");
    }
    request.cwd = cwd->get<std::string>();
  }
  return request;
}

std::string SignalRequest::encode() const { return dump(Json{{"signal", signal}}); }

Result<SignalRequest> SignalRequest::parse(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject("signal", text, {"signal"}));
  SignalRequest request;
  RAILHEAD_TRY_ASSIGN(request.signal, integerField("signal", json, "signal", 1, 64));
  return request;
}

std::string ReadyMessage::encode() const {
  return dump(Json{{"node", node}, {"kernel", kernel}, {"boot_seconds", bootSeconds}});
}

Result<ReadyMessage> ReadyMessage::parse(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json,
                      parseObject("ready", text, {"node", "kernel", "boot_seconds"}));
  ReadyMessage ready;
  for (auto [field, target] :
       {std::pair{"node", &ready.node}, std::pair{"kernel", &ready.kernel}}) {
    const auto found = json.find(field);
    if (found == json.end() || !isArgument(*found)) {
      return wrong("ready", field, found == json.end() ? Json() : *found, "text");
    }
    *target = found->get<std::string>();
  }
  const auto seconds = json.find("boot_seconds");
  if (seconds == json.end() || !seconds->is_number() || seconds->get<double>() < 0) {
    return wrong("ready", "boot_seconds", seconds == json.end() ? Json() : *seconds,
                 "a number of seconds from 0");
  }
  ready.bootSeconds = seconds->get<double>();
  return ready;
}

std::string ExitMessage::encode() const {
  return code ? dump(Json{{"code", *code}}) : dump(Json{{"signal", signal.value_or(0)}});
}

Result<ExitMessage> ExitMessage::parse(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json json, parseObject("exit", text, {"code", "signal"}));
  if (json.size() != 1) {
    return Error(ErrorCode::kInvalidArgument,
                 "exit: payload " + inQuotes(text) + " must hold one of 'code' and 'signal'");
  }
  ExitMessage message;
  if (json.contains("code")) {
    RAILHEAD_TRY_ASSIGN(message.code, integerField("exit", json, "code", 0, 255));
  } else {
    RAILHEAD_TRY_ASSIGN(message.signal, integerField("exit", json, "signal", 1, 64));
  }
  return message;
}

}  // namespace railhead::lab

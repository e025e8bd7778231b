#include "lab/keeper/keeper_messages.h"

#include "lab/keeper/status_json.h"

#include <array>

#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kOperations{"status", "wait-up", "exec",
                                                      "logs",   "link",    "down"};
constexpr std::array<std::string_view, 3> kEvents{"node-started", "node-ready", "up"};

// Bytes of a console are not always UTF-8; JSON must be.
std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json errorToJson(const Error& error) {
  return {
      {"code", errorCodeName(error.code)}, {"message", error.message}, {"remedy", error.remedy}};
}

Error errorFromJson(const json& value) {
  const auto name = value.at("code").get<std::string>();
  Error error(ErrorCode::kInternal, value.at("message").get<std::string>(),
              value.at("remedy").get<std::string>());
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    if (errorCodeName(static_cast<ErrorCode>(code)) == name)
      error.code = static_cast<ErrorCode>(code);
  }
  return error;
}

template <std::size_t N>
std::size_t indexOf(const std::array<std::string_view, N>& words, const json& value) {
  const auto word = value.get<std::string>();
  for (std::size_t i = 0; i < N; ++i) {
    if (words[i] == word) return i;
  }
  throw json::other_error::create(501, "unknown word " + word, &value);
}

// nlohmann's accessors throw on a wrong form; this is the one place that catches it.
template <typename T, typename Reader>
Result<T> guarded(std::string_view what, std::string_view text, Reader reader) {
  try {
    return reader(json::parse(text));
  } catch (const json::exception& error) {
    return Error(ErrorCode::kCorrupt, std::string(what) + " has a wrong form: " + error.what());
  }
}

template <typename T>
std::optional<T> maybe(const json& value, const char* key) {
  if (!value.contains(key)) return std::nullopt;
  return value.at(key).get<T>();
}

}  // namespace

std::string KeeperRequest::encode() const {
  json value{{"op", kOperations.at(static_cast<std::size_t>(operation))}};
  if (!node.empty()) value["node"] = node;
  if (operation == Operation::kExec) value["exec"] = exec.encode();
  if (operation == Operation::kLogs) value["bytes"] = bytes;
  if (operation == Operation::kLink) {
    value["link"] = link;
    if (change.cut) value["cut"] = *change.cut;
    if (change.rate) value["rate"] = change.rate->bitsPerSecond;
    if (change.lossPercent) value["loss"] = *change.lossPercent;
  }
  return dump(value);
}

Result<KeeperRequest> KeeperRequest::parse(std::string_view text) {
  std::string exec;
  auto request = guarded<KeeperRequest>("request", text, [&](const json& value) {
    KeeperRequest read;
    read.operation = static_cast<Operation>(indexOf(kOperations, value.at("op")));
    read.node = value.value("node", "");
    read.bytes = value.value("bytes", std::size_t{0});
    read.link = value.value("link", "");
    read.change.cut = maybe<bool>(value, "cut");
    if (const auto rate = maybe<double>(value, "rate")) read.change.rate = BitRate{*rate};
    read.change.lossPercent = maybe<double>(value, "loss");
    exec = value.value("exec", "");
    return read;
  });
  if (request && request->operation == Operation::kExec) {
    RAILHEAD_TRY_ASSIGN(request->exec, ExecRequest::parse(exec));
  }
  return request;
}

std::string KeeperAnswer::encode() const {
  json value{{"text", text}};
  if (error) value["error"] = errorToJson(*error);
  if (status) value["status"] = *status;
  if (link) value["link"] = *link;
  return dump(value);
}

Result<KeeperAnswer> KeeperAnswer::parse(std::string_view text) {
  return guarded<KeeperAnswer>("answer", text, [](const json& value) {
    KeeperAnswer read;
    read.text = value.at("text").get<std::string>();
    if (value.contains("error")) read.error = errorFromJson(value.at("error"));
    read.status = maybe<LabStatus>(value, "status");
    read.link = maybe<LinkStatus>(value, "link");
    return read;
  });
}

std::string StartOrder::encode() const {
  return dump({{"name", name},
               {"topology", topologyYaml},
               {"image", imageDirectory},
               {"qemu", qemu},
               {"accelerator", accelerator},
               {"share", share},
               {"ready_seconds", readySeconds},
               {"bound", bound}});
}

Result<StartOrder> StartOrder::parse(std::string_view text) {
  return guarded<StartOrder>("start order", text, [](const json& value) {
    StartOrder read;
    read.name = value.at("name").get<std::string>();
    read.topologyYaml = value.at("topology").get<std::string>();
    read.imageDirectory = value.at("image").get<std::string>();
    read.qemu = value.at("qemu").get<std::string>();
    read.accelerator = value.at("accelerator").get<std::string>();
    read.share = value.at("share").get<std::string>();
    read.readySeconds = value.at("ready_seconds").get<unsigned>();
    read.bound = value.at("bound").get<bool>();
    return read;
  });
}

std::string StartReport::encode() const {
  if (error) return dump({{"error", errorToJson(*error)}});
  return dump({{"event", kEvents.at(static_cast<std::size_t>(event->kind))},
               {"node", event->node},
               {"seconds", event->seconds},
               {"kernel", event->kernel}});
}

Result<StartReport> StartReport::parse(std::string_view text) {
  return guarded<StartReport>("start report", text, [](const json& value) {
    StartReport read;
    if (value.contains("error")) {
      read.error = errorFromJson(value.at("error"));
      return read;
    }
    BootEvent event;
    event.kind = static_cast<BootEvent::Kind>(indexOf(kEvents, value.at("event")));
    event.node = value.at("node").get<std::string>();
    event.seconds = value.at("seconds").get<double>();
    event.kernel = value.at("kernel").get<std::string>();
    read.event = event;
    return read;
  });
}

}  // namespace railhead::lab

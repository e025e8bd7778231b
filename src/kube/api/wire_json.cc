#include "src/kube/api/wire_json.h"

#include "src/base/text.h"
#include "src/json/json.h"

#include <nlohmann/json.hpp>

namespace railhead::kube {
namespace {

using json::member;
using Json = json::Value;

constexpr std::size_t kMaxVersion = 128;  // bytes of a resourceVersion
constexpr std::size_t kMaxContinue = 8192;
constexpr std::size_t kMaxMessage = 512;

Error corrupt(Error error) {
  error.code = ErrorCode::kCorrupt;
  return error;
}

Result<Json> parseObject(std::string_view text, std::string_view what) {
  auto parsed = json::parseObject(text, what);
  if (!parsed.has_value()) return corrupt(std::move(parsed).error());
  return parsed;
}

Result<std::string> textOf(const Json& object, std::string_view key, std::size_t limit) {
  auto text = json::textMember(object, key, limit);
  if (!text.has_value()) return corrupt(std::move(text).error());
  return text;
}

Result<std::string> metadataText(const Json& object, std::string_view key, std::size_t limit) {
  const Json* metadata = member(object, "metadata");
  if (metadata == nullptr) return std::string();
  return textOf(*metadata, key, limit).addContext("metadata");
}

Result<WatchEventKind> kindOf(const std::string& type) {
  if (type == "ADDED") return WatchEventKind::kAdded;
  if (type == "MODIFIED") return WatchEventKind::kModified;
  if (type == "DELETED") return WatchEventKind::kDeleted;
  if (type == "BOOKMARK") return WatchEventKind::kBookmark;
  return Error(ErrorCode::kCorrupt, "type is " + inQuotes(type) +
                                        ": expected ADDED, MODIFIED, DELETED, BOOKMARK or ERROR");
}

}  // namespace

Result<ListPage> parseListPage(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json list, parseObject(text, "the list"));
  ListPage page;
  RAILHEAD_TRY_ASSIGN(page.resourceVersion, metadataText(list, "resourceVersion", kMaxVersion));
  RAILHEAD_TRY_ASSIGN(page.continueToken, metadataText(list, "continue", kMaxContinue));
  const Json* items = member(list, "items");
  if (items == nullptr) return page;
  if (!items->is_array())
    return Error(ErrorCode::kCorrupt, "items is " + json::shown(*items) + ": expected a list");
  page.objects.reserve(items->size());
  for (const Json& item : *items) {
    if (!item.is_object())
      return Error(ErrorCode::kCorrupt, "items has " + json::shown(item) + ": expected an object");
    page.objects.push_back(json::dump(item));
  }
  return page;
}

Result<WatchLine> parseWatchLine(std::string_view text) {
  RAILHEAD_TRY_ASSIGN(const Json line, parseObject(text, "the event"));
  RAILHEAD_TRY_ASSIGN(const std::string type, textOf(line, "type", 32));
  const Json* object = member(line, "object");
  if (object == nullptr || !object->is_object())
    return Error(ErrorCode::kCorrupt, "the event has no object");
  WatchLine parsed;
  if (type == "ERROR") {
    const Json* code = member(*object, "code");
    parsed.errorStatus =
        code != nullptr && code->is_number_unsigned() && *code < 1000 ? code->get<int>() : 500;
    parsed.errorMessage = statusMessage(json::dump(*object));
    return parsed;
  }
  WatchEvent event;
  RAILHEAD_TRY_ASSIGN(event.kind, kindOf(type));
  RAILHEAD_TRY_ASSIGN(event.resourceVersion, metadataText(*object, "resourceVersion", kMaxVersion));
  if (event.resourceVersion.empty())
    return Error(ErrorCode::kCorrupt, "the event's object has no metadata.resourceVersion");
  event.object = json::dump(*object);
  parsed.event = std::move(event);
  return parsed;
}

std::string statusMessage(std::string_view body) {
  const auto status = json::parseObject(body, "status");
  if (status.has_value()) {
    const Json* message = member(*status, "message");
    const auto* text = message != nullptr ? message->get_ptr<const std::string*>() : nullptr;
    if (text != nullptr && !text->empty()) return inQuotes(*text, kMaxMessage);
  }
  return body.empty() ? "no reason given" : inQuotes(trim(body), 120);
}

std::string statusReason(std::string_view body) {
  const auto status = json::parseObject(body, "status");
  if (!status.has_value()) return {};
  return json::textMember(*status, "reason", 64).value_or("");
}

Result<std::string> checkedObject(std::string text) {
  RAILHEAD_TRY(parseObject(text, "the answer"));
  return text;
}

}  // namespace railhead::kube

#include "src/json/json.h"

#include "src/base/text.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::json {
namespace {

// The deepest nesting of arrays and objects; brackets inside strings do not count.
int depthOf(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool inString = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inString) {
      if (c == '\\') ++i;
      if (c == '"') inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<Value> parse(std::string_view text, std::string_view what) {
  // Checked first: printing a value recurses once per level.
  if (depthOf(text) > kMaxDepth) {
    return Error(ErrorCode::kInvalidArgument, std::string(what) + " is nested deeper than the " +
                                                  std::to_string(kMaxDepth) + " levels allowed");
  }
  Value value = Value::parse(text, nullptr, false);
  if (value.is_discarded()) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(what) + " is not valid JSON: " + inQuotes(trim(text), 60));
  }
  return value;
}

Result<Value> parseObject(std::string_view text, std::string_view what) {
  RAILHEAD_TRY_ASSIGN(Value value, parse(text, what));
  if (!value.is_object()) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(what) + " is " + shown(value) + ": expected a JSON object");
  }
  return value;
}

bool lacksItsEnd(std::string_view text) {
  if (trim(text).empty()) return false;
  try {
    const auto keepNothing = [](int, Value::parse_event_t, Value&) { return false; };
    const auto value = Value::parse(text, keepNothing);
  } catch (const Value::parse_error& error) {
    return error.byte > text.size();  // the end counts as one more byte
  } catch (const Value::exception&) {
    // A number that no double can hold, say.
  }
  return false;
}

const Value* member(const Value& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> textMember(const Value& object, std::string_view key, std::size_t limit) {
  const Value* value = member(object, key);
  if (value == nullptr) return std::string();
  const auto* text = value->get_ptr<const std::string*>();
  if (text == nullptr) {
    return Error(ErrorCode::kInvalidArgument,
                 std::string(key) + " is " + shown(*value) + ": expected a string");
  }
  if (text->size() > limit || text->find('\0') != std::string::npos) {
    return Error(ErrorCode::kInvalidArgument, std::string(key) + " is " + inQuotes(*text) +
                                                  ": at most " + std::to_string(limit) +
                                                  " bytes without a NUL are allowed");
  }
  return *text;
}

std::string dump(const Value& value) {
  return value.dump(-1, ' ', false, Value::error_handler_t::replace);
}

std::string shown(const Value& value) { return inQuotes(dump(value), 60); }

}  // namespace railhead::json

#include "src/bench/json_fields.h"

#include "src/base/text.h"
#include "src/json/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::bench {

Result<Json> parseObject(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() && json::lacksItsEnd(text)) {
    return Error(ErrorCode::kCorrupt, "it is cut off: its JSON does not end, after " +
                                          std::to_string(text.size()) + " bytes");
  }
  if (!json.is_object()) {
    return Error(ErrorCode::kCorrupt, "it is " + inQuotes(text, 60) + ": expected a JSON object");
  }
  return json;
}

Error badField(const char* name, const Json& object, const std::string& allowed) {
  const auto found = object.find(name);
  const std::string value =
      found == object.end() ? "missing"
                            : inQuotes(found->dump(-1, ' ', true, Json::error_handler_t::replace));
  return Error(ErrorCode::kCorrupt,
               std::string("field ") + name + " is " + value + ": expected " + allowed);
}

Result<std::uint64_t> unsignedField(const Json& object, const char* name, std::uint64_t low,
                                    std::uint64_t high) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() < low ||
      found->get<std::uint64_t>() > high) {
    return badField(name, object, std::to_string(low) + " to " + std::to_string(high));
  }
  return found->get<std::uint64_t>();
}

Result<double> numberField(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return badField(name, object, "a number");
  return found->get<double>();
}

Result<std::string> stringField(const Json& object, const char* name, std::size_t maxBytes) {
  const auto found = object.find(name);
  const auto fits = [maxBytes](const std::string& text) {
    return text.size() <= maxBytes && std::none_of(text.begin(), text.end(), [](unsigned char c) {
             return c < 0x20 || c == 0x7f;  // it may be printed on a terminal
           });
  };
  if (found == object.end() || !found->is_string() || !fits(found->get_ref<const std::string&>())) {
    return badField(name, object,
                    "printable text of at most " + std::to_string(maxBytes) + " bytes");
  }
  return found->get<std::string>();
}

Result<const Json*> arrayField(const Json& object, const char* name, std::size_t low,
                               std::size_t high) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array() || found->size() < low || found->size() > high) {
    return badField(name, object,
                    "a list of " + std::to_string(low) + " to " + std::to_string(high));
  }
  return &*found;
}

// Text that is not UTF-8 is replaced, never thrown over.
std::string dumped(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace railhead::bench

#include "src/train/json_fields.h"

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

namespace railhead::train {
namespace {

constexpr std::size_t kMaxDocument = 64 << 20;

}  // namespace

void makeObject(Json& at) { at = Json::object(); }
void makeList(Json& at) { at = Json::array(); }
Json& addMember(Json& object, const char* name) { return object[name]; }
Json& addElement(Json& list) { return list.emplace_back(nullptr); }
void set(Json& at, const std::string& value) { at = value; }
void set(Json& at, bool value) { at = value; }
void set(Json& at, std::uint64_t value) { at = value; }
void set(Json& at, int value) { at = value; }
void set(Json& at, double value) {
  at = nullptr;
  if (std::isfinite(value)) at = value;
}

bool isObject(const Json& value) { return value.is_object() && value.size() <= kMaxJsonEntries; }
bool isList(const Json& value) { return value.is_array() && value.size() <= kMaxJsonEntries; }

std::vector<const Json*> elementsOf(const Json& list) {
  std::vector<const Json*> out;
  for (const Json& element : list) out.push_back(&element);
  return out;
}

std::vector<std::pair<std::string, const Json*>> membersOf(const Json& object) {
  std::vector<std::pair<std::string, const Json*>> out;
  for (const auto& [name, value] : object.items()) out.emplace_back(name, &value);
  return out;
}

bool take(const Json& value, std::string& into) {
  if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxJsonText) return false;
  into = value.get<std::string>();
  return true;
}

bool take(const Json& value, bool& into) {
  if (!value.is_boolean()) return false;
  into = value.get<bool>();
  return true;
}

bool take(const Json& value, std::uint64_t& into) {
  if (!value.is_number_unsigned()) return false;
  into = value.get<std::uint64_t>();
  return true;
}

bool take(const Json& value, int& into) {
  if (!value.is_number_integer()) return false;
  const auto wide = value.get<std::int64_t>();
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max())
    return false;
  into = static_cast<int>(wide);
  return true;
}

bool take(const Json& value, double& into) {
  if (!value.is_number()) return false;
  into = value.get<double>();
  return std::isfinite(into);
}

Result<Json> parseObject(std::string_view text, const std::string& where) {
  if (text.size() > kMaxDocument) {
    return Error(ErrorCode::kCorrupt, where + " has more than 64 MiB");
  }
  auto json = json::parseObject(text, where);
  if (!json.has_value()) return Error(ErrorCode::kCorrupt, json.error().message);
  return json;
}

}  // namespace railhead::train

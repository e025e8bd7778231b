#include "src/report/measurements/field_check.h"

#include "src/base/text.h"

#include <nlohmann/json.hpp>

namespace railhead::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxFieldText = 64 << 10;
constexpr std::size_t kMaxFieldEntries = 4096;
constexpr std::size_t kMaxLongList = 10'000;  // single samples, directions of a log
constexpr double kMaxFieldNumber = 2e19;      // a seed has 64 bits

Error wrong(const std::string& path, const Json& value, std::string_view allowed) {
  const std::string shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return Error(ErrorCode::kInvalidArgument,
               path + ": " + inQuotes(shown, 60) + " is not " + std::string(allowed));
}

// The entries of a list, or the values of an object.
bool areTexts(const Json& value) {
  for (const auto& entry : value) {
    if (!entry.is_string()) return false;
  }
  return true;
}

Result<void> checkType(const std::string& path, const Json& value, FieldType type) {
  switch (type) {
    case FieldType::kText:
      if (!value.is_string()) return wrong(path, value, "a string");
      break;
    case FieldType::kFlag:
      if (!value.is_boolean()) return wrong(path, value, "true or false");
      break;
    case FieldType::kNumberOrNull:
      if (value.is_null()) break;
      [[fallthrough]];
    case FieldType::kNumber:
      if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > kMaxFieldNumber) {
        return wrong(path, value, "a number from 0 to 2e19");
      }
      break;
    case FieldType::kRealOrNull:
      if (value.is_null()) break;
      [[fallthrough]];
    case FieldType::kReal:
      if (!value.is_number()) return wrong(path, value, "a number");
      break;
    case FieldType::kObjectOrNull:
      if (!value.is_object() && !value.is_null()) return wrong(path, value, "an object or null");
      break;
    case FieldType::kList:
      if (!value.is_array()) return wrong(path, value, "a list");
      break;
    case FieldType::kTexts:
      if (!value.is_array() || !areTexts(value)) return wrong(path, value, "a list of strings");
      break;
    case FieldType::kNamedTexts:
      if (!value.is_object() || !areTexts(value)) return wrong(path, value, "an object of strings");
      break;
  }
  return {};
}

}  // namespace

Result<void> checkField(const Json& at, std::string_view rest, const std::string& path,
                        FieldType type) {
  if (!at.is_object()) return wrong(path.empty() ? "the text" : path, at, "an object");
  const auto dot = rest.find('.');
  std::string_view name = rest.substr(0, dot);
  const bool addedLater = name.starts_with('~');
  if (addedLater) name.remove_prefix(1);
  const bool entries = name.ends_with("[]");
  const bool nullable = name.ends_with('?');
  name.remove_suffix(entries ? 2 : nullable ? 1 : 0);
  const std::string here = (path.empty() ? "" : path + ".") + std::string(name);
  const auto found = at.find(name);
  if (found == at.end() && addedLater) return {};
  if (found == at.end()) return Error(ErrorCode::kInvalidArgument, here + " is missing");
  if (dot == std::string_view::npos) return checkType(here, *found, type);
  if (nullable && found->is_null()) return {};
  if (!entries) return checkField(*found, rest.substr(dot + 1), here, type);
  for (std::size_t i = 0; i < found->size(); ++i) {
    const std::string entry = here + "[" + std::to_string(i) + "]";
    if (!(*found)[i].is_object()) return wrong(entry, (*found)[i], "an object");
    RAILHEAD_TRY(checkField((*found)[i], rest.substr(dot + 1), entry, type));
  }
  return {};
}

Result<void> checkSizes(const Json& value, const std::string& path) {
  if (value.is_string() && value.get_ref<const std::string&>().size() > kMaxFieldText) {
    return wrong(path, value, "a string of at most " + std::to_string(kMaxFieldText) + " bytes");
  }
  const bool isLong = path.ends_with("samples_us") || path == "directions";
  const std::size_t most = isLong ? kMaxLongList : kMaxFieldEntries;
  if (value.is_structured() && value.size() > most) {
    return Error(ErrorCode::kInvalidArgument, path + " has " + std::to_string(value.size()) +
                                                  " entries; at most " + std::to_string(most) +
                                                  " are allowed");
  }
  if (value.is_array()) {
    for (const auto& entry : value) RAILHEAD_TRY(checkSizes(entry, path + "[]"));
  }
  if (value.is_object()) {
    for (const auto& item : value.items()) {
      RAILHEAD_TRY(checkSizes(item.value(), (path.empty() ? "" : path + ".") + item.key()));
    }
  }
  return {};
}

}  // namespace railhead::report

#include "src/tune_run/json_field.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::tune {

const Json* JsonFields::find(const char* name) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

void JsonFields::refuse(const char* name, const std::string& allowed) {
  if (error_) return;
  error_ =
      Error(ErrorCode::kCorrupt, "field " + std::string(name) + " is missing or not " + allowed);
}

bool JsonFields::has(const char* name) const { return find(name) != nullptr; }

std::string JsonFields::text(const char* name) {
  const Json* found = find(name);
  if (found != nullptr && found->is_string() &&
      found->get_ref<const std::string&>().size() <= kMaxText) {
    return found->get<std::string>();
  }
  refuse(name, "a text of at most " + std::to_string(kMaxText) + " bytes");
  return {};
}

const Json* JsonFields::list(const char* name) {
  const Json* found = find(name);
  if (found != nullptr && found->is_array() && found->size() <= kMaxEntries) return found;
  refuse(name, "a list of at most " + std::to_string(kMaxEntries) + " entries");
  return nullptr;
}

std::vector<std::string> JsonFields::texts(const char* name) {
  const Json* found = list(name);
  if (found == nullptr) return {};
  const bool fit = std::all_of(found->begin(), found->end(), [](const Json& one) {
    return one.is_string() && one.get_ref<const std::string&>().size() <= kMaxText;
  });
  if (fit) return found->get<std::vector<std::string>>();
  refuse(name, "a list of texts");
  return {};
}

std::vector<double> JsonFields::reals(const char* name) {
  const Json* found = list(name);
  if (found == nullptr) return {};
  if (std::all_of(found->begin(), found->end(), [](const Json& one) { return one.is_number(); }))
    return found->get<std::vector<double>>();
  refuse(name, "a list of numbers");
  return {};
}

std::uint64_t JsonFields::number(const char* name, std::uint64_t most) {
  const Json* found = find(name);
  if (found != nullptr && found->is_number_unsigned() && found->get<std::uint64_t>() <= most)
    return found->get<std::uint64_t>();
  refuse(name, "a whole number up to " + std::to_string(most));
  return 0;
}

bool JsonFields::flag(const char* name) {
  const Json* found = find(name);
  if (found != nullptr && found->is_boolean()) return found->get<bool>();
  refuse(name, "true or false");
  return false;
}

Result<void> JsonFields::result() const {
  if (error_) return *error_;
  return {};
}

}  // namespace railhead::tune

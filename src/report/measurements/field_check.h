// Whether a document has a field with its type, and nothing larger than a page may carry. Private
// to this folder. Pure.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace railhead::report {

enum class FieldType {
  kText,
  kFlag,
  kNumber,
  kNumberOrNull,
  kReal,  // any number, also one below 0
  kRealOrNull,
  kObjectOrNull,
  kList,
  kTexts,
  kNamedTexts,
};

struct Field {
  // "lines[].time.mean_us"; "ceiling?.gbps": ceiling may be null; "plan.~operation": was added
  // later, and files from before lack it.
  std::string_view path;
  FieldType type;
};

// Follows `rest` from `at`, which stands at `path`. kInvalidArgument names the field, its value and
// what is allowed.
Result<void> checkField(const nlohmann::json& at, std::string_view rest, const std::string& path,
                        FieldType type);

// Unknown fields are bounded, too: the page carries them.
Result<void> checkSizes(const nlohmann::json& value, const std::string& path);

}  // namespace railhead::report

// Bounded reading of JSON that a peer sent; kCorrupt names the field, its value and what is
// expected. Private to src/bench: who looks inside a value includes <nlohmann/json.hpp>.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace railhead::bench {

using Json = nlohmann::json;

Result<Json> parseObject(std::string_view text);
Error badField(const char* name, const Json& object, const std::string& allowed);
Result<std::uint64_t> unsignedField(const Json& object, const char* name, std::uint64_t low = 0,
                                    std::uint64_t high = std::numeric_limits<std::uint64_t>::max());
Result<double> numberField(const Json& object, const char* name);
Result<std::string> stringField(const Json& object, const char* name, std::size_t maxBytes);
Result<const Json*> arrayField(const Json& object, const char* name, std::size_t low,
                               std::size_t high);
// Text that is not UTF-8 is replaced, never thrown over.
std::string dumped(const Json& json, int indent = -1);

}  // namespace railhead::bench

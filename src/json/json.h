// JSON from outside, bounded. Its type is only declared here: who looks inside a value includes
// <nlohmann/json.hpp> in its .cc file and links the library privately.
#pragma once

#include "src/base/result.h"

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace railhead::json {

// Keys keep their order: what is passed on looks as it came.
using Value = nlohmann::ordered_json;

inline constexpr int kMaxDepth = 64;

// kInvalidArgument, beginning with `what`, when `text` is not JSON or nested too deep.
Result<Value> parse(std::string_view text, std::string_view what);
// The same, and the value must be an object.
Result<Value> parseObject(std::string_view text, std::string_view what);

// Whether the text is JSON as far as it goes, and its end is missing. Of no text: false.
bool lacksItsEnd(std::string_view text);

// The member, or nullptr when `object` is no object or has no such key, or the value is null.
const Value* member(const Value& object, std::string_view key);
// The member's text; empty when absent. kInvalidArgument when it is not a string, longer than
// `limit` bytes or holds a NUL.
Result<std::string> textMember(const Value& object, std::string_view key, std::size_t limit);

// Never throws: bytes that are not UTF-8 are replaced.
std::string dump(const Value& value);
// How an error shows a value: its JSON text, shortened.
std::string shown(const Value& value);

}  // namespace railhead::json

// Bounded text handling for input from outside. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead {

std::string_view trim(std::string_view text);
// Splits at every `separator`; keeps empty parts ("a,,b" has three).
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string toLower(std::string_view text);

// Whole-string parses: nothing before or after, no sign for the unsigned ones, nullopt on overflow.
std::optional<std::uint64_t> parseUnsigned(std::string_view text);
std::optional<std::uint64_t> parseHex(std::string_view text);  // with or without "0x"
std::optional<double> parseDouble(std::string_view text);

// For error messages: at most `limit` bytes, control characters escaped, in single quotes.
std::string inQuotes(std::string_view text, std::size_t limit = 80);

}  // namespace railhead

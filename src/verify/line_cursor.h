// How the readers of NCCL's lines walk through a text. Not for others.
#pragma once

#include "src/base/text.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

namespace railhead::verify {

// No locale has a say here.
inline bool isDigit(char c) { return c >= '0' && c <= '9'; }
inline bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline bool isWordByte(char c) { return isDigit(c) || isLetter(c) || c == '_'; }

// Takes one piece after the other from the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }
  bool atEnd() const { return rest_.empty(); }

  bool literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  // Up to seven digits: no rank, channel or device has more.
  std::optional<int> number() {
    const auto digits = std::find_if_not(rest_.begin(), rest_.end(), isDigit) - rest_.begin();
    if (digits == 0 || digits > 7) return std::nullopt;
    const auto value = parseUnsigned(take(static_cast<std::size_t>(digits)));
    if (!value) return std::nullopt;
    return static_cast<int>(*value);
  }

  // "[1901000]": a bus id in hexadecimal (2.18.1) or a device number. What it says is not needed.
  bool bracketed() {
    if (!literal("[")) return false;
    const auto isHex = [](char c) { return isDigit(c) || (c >= 'a' && c <= 'f'); };
    const auto length = std::find_if_not(rest_.begin(), rest_.end(), isHex) - rest_.begin();
    if (length == 0 || length > 16) return false;
    rest_.remove_prefix(static_cast<std::size_t>(length));
    return literal("]");
  }

  std::string_view take(std::size_t length) {
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};
}  // namespace railhead::verify

// What a reader promises, held against what it did.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace railhead::fuzz {

// A crash is what both drivers look for.
inline void must(bool holds, std::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(promise.size()), promise.data());
  std::abort();
}

inline constexpr std::size_t kMaxMessage =
    4096;  // an error is for people: it never echoes its input

// Whether there is a value. An error says something, and not too much.
template <typename T>
bool taken(const Result<T>& result) {
  if (result.has_value()) return true;
  must(!result.error().message.empty(), "an error says what is wrong");
  must(result.error().message.size() <= kMaxMessage, "an error is short");
  return false;
}

// Cuts the first line off `input`; without a line's end it is all of it.
inline std::string_view cutLine(std::string_view& input) {
  const auto end = input.find('\n');
  const auto line = input.substr(0, end);
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  return line;
}

// Cuts the first byte off `input`; 0 when it is empty.
inline unsigned char cutByte(std::string_view& input) {
  if (input.empty()) return 0;
  const auto byte = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  return byte;
}

}  // namespace railhead::fuzz

// Texts of the plugin without an allocation. The plugin runs inside other people's processes, next
// to any C and C++ library: nothing in this folder uses the C++ runtime (exceptions, std::string,
// Result), so that the built file needs an old C library and nothing else. What goes wrong is a
// Remark: one sentence that NCCL's log shows behind "off: ".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace railhead::nccl_tuner {

struct Remark {
  char text[320] = "";

  // Replaces the text; what is too long is cut.
  void say(const char* format, ...) __attribute__((format(printf, 2, 3)));
};

// Cuts what stands before the first `end`, and the end, off `text`. False, and nothing is changed,
// when there is none.
bool cutBefore(char end, std::string_view& text, std::string_view& part);

// A whole number as it is usually written: decimal digits, no sign, no leading zero, at most
// `most`.
bool readNumber(std::string_view text, std::uint64_t most, std::uint64_t& number);

}  // namespace railhead::nccl_tuner

// Text as a terminal shows it: UTF-8 columns, and nothing a stranger's text could do to the screen.
// Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace railhead::report {

// Columns the text takes: 0 for combining marks, 2 for wide East Asian characters and emoji, 1 for
// every other character and for each byte that is not UTF-8. Expects no control characters.
std::size_t displayWidth(std::string_view text);

// Safe to print: escape sequences are dropped, other control characters and bidirectional overrides
// become spaces, broken UTF-8 becomes U+FFFD. One line stays one line.
std::string printable(std::string_view text);

// At most `width` columns; what does not fit ends in "…".
std::string cutToWidth(std::string_view text, std::size_t width);

enum class Align { kLeft, kRight };

// Filled with spaces to `width` columns; longer text stays whole.
std::string padTo(std::string_view text, std::size_t width, Align align = Align::kLeft);

}  // namespace railhead::report

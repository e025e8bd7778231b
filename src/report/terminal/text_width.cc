#include "src/report/terminal/text_width.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace railhead::report {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

struct Character {
  char32_t code = 0;
  std::size_t size = 1;  // bytes
  bool valid = false;
};

struct LeadByte {
  std::uint8_t mask, value;
  std::size_t size;
  char32_t smallest;  // below it the form is overlong
};
constexpr std::array<LeadByte, 4> kLeadBytes{
    {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}}};

// The first character of a text that is not empty.
Character firstOf(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  for (const auto& form : kLeadBytes) {
    if ((lead & form.mask) != form.value) continue;
    if (text.size() < form.size) return {};
    char32_t code = lead & static_cast<std::uint8_t>(~form.mask);
    for (std::size_t i = 1; i < form.size; ++i) {
      const auto next = static_cast<std::uint8_t>(text[i]);
      if ((next & 0xc0) != 0x80) return {};
      code = (code << 6) | (next & 0x3f);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < form.smallest || code > 0x10ffff || surrogate) return {};
    return {code, form.size, true};
  }
  return {};
}

struct Range {
  char32_t first, last;
};

template <std::size_t N>
bool isIn(const std::array<Range, N>& ranges, char32_t code) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [code](const Range& r) { return code >= r.first && code <= r.last; });
}

// Marks that sit on the character before them, and characters without a shape of their own.
constexpr std::array<Range, 12> kZeroWidth{{{0x0300, 0x036f},
                                            {0x0483, 0x0489},
                                            {0x0591, 0x05bd},
                                            {0x064b, 0x065f},
                                            {0x0e34, 0x0e3a},
                                            {0x0e47, 0x0e4e},
                                            {0x1ab0, 0x1aff},
                                            {0x1dc0, 0x1dff},
                                            {0x200b, 0x200f},
                                            {0x20d0, 0x20ff},
                                            {0xfe00, 0xfe0f},
                                            {0xfe20, 0xfe2f}}};
constexpr std::array<Range, 12> kWide{{{0x1100, 0x115f},
                                       {0x2e80, 0x303e},
                                       {0x3041, 0x33ff},
                                       {0x3400, 0x4dbf},
                                       {0x4e00, 0x9fff},
                                       {0xa000, 0xa4cf},
                                       {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},
                                       {0xfe30, 0xfe4f},
                                       {0xff00, 0xff60},
                                       {0x1f300, 0x1faff},
                                       {0x20000, 0x3fffd}}};
// They turn the reading direction of what follows, so a name could show as another one.
constexpr std::array<Range, 3> kBidirectional{
    {{0x200e, 0x200f}, {0x202a, 0x202e}, {0x2066, 0x2069}}};

std::size_t widthOf(const Character& character) {
  if (!character.valid) return 1;
  if (isIn(kZeroWidth, character.code)) return 0;
  return isIn(kWide, character.code) ? 2 : 1;
}

bool isControl(char32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0); }

// Bytes of the escape sequence at the start of the text, which begins with ESC.
std::size_t escapeLength(std::string_view text) {
  if (text.size() < 2) return text.size();
  if (text[1] == '[') {  // control sequence: parameters, then one final byte @..~
    const auto end =
        std::find_if(text.begin() + 2, text.end(), [](char c) { return c >= '@' && c <= '~'; });
    return static_cast<std::size_t>(end - text.begin()) + (end == text.end() ? 0 : 1);
  }
  if (text[1] == ']') {  // operating system command: up to BEL or ESC backslash
    const auto end = text.find_first_of("\a\x1b", 2);
    if (end == std::string_view::npos) return text.size();
    return text[end] == '\a' ? end + 1 : std::min(end + 2, text.size());
  }
  return 2;
}

}  // namespace

std::size_t displayWidth(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Character character = firstOf(text);
    width += widthOf(character);
    text.remove_prefix(character.size);
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    if (text[0] == '\x1b') {
      text.remove_prefix(escapeLength(text));
      continue;
    }
    const Character character = firstOf(text);
    if (!character.valid) {
      safe += kReplacement;
    } else if (isControl(character.code) || isIn(kBidirectional, character.code)) {
      safe += ' ';
    } else {
      safe += text.substr(0, character.size);
    }
    text.remove_prefix(character.size);
  }
  return safe;
}

std::string cutToWidth(std::string_view text, std::size_t width) {
  if (displayWidth(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::string cut;
  std::size_t used = 0;
  while (!text.empty()) {
    const Character character = firstOf(text);
    used += widthOf(character);
    if (used > width - 1) break;
    cut += text.substr(0, character.size);
    text.remove_prefix(character.size);
  }
  cut.erase(cut.find_last_not_of(' ') + 1);
  return cut + "…";
}

std::string padTo(std::string_view text, std::size_t width, Align align) {
  const std::size_t taken = displayWidth(text);
  const std::string fill(width > taken ? width - taken : 0, ' ');
  return align == Align::kLeft ? std::string(text) + fill : fill + std::string(text);
}

}  // namespace railhead::report

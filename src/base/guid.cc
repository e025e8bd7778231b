#include "src/base/guid.h"

#include "src/base/text.h"

#include <cstdio>

namespace railhead {

Result<Guid> Guid::parse(std::string_view text) {
  const Error bad(
      ErrorCode::kInvalidArgument,
      "GUID " + inQuotes(text) + ": expected 16 hexadecimal digits, like 0200:5eff:fe10:0001");
  const auto parts = split(text, ':');
  if (parts.size() != 4 && parts.size() != 8) return bad;
  const std::size_t digits = 16 / parts.size();
  Guid guid;
  for (const auto part : parts) {
    const auto value = part.size() == digits ? parseHex(part) : std::nullopt;
    if (!value || part.starts_with("0x")) return bad;
    guid.value = guid.value << (digits * 4) | *value;
  }
  return guid;
}

Guid Guid::fromMac(const Mac& mac) {
  const auto& b = mac.bytes;
  const std::array<std::uint8_t, 8> eui{
      static_cast<std::uint8_t>(b[0] ^ 2), b[1], b[2], 0xff, 0xfe, b[3], b[4], b[5]};
  Guid guid;
  for (const std::uint8_t byte : eui) guid.value = guid.value << 8 | byte;
  return guid;
}

std::string Guid::toString() const {
  char text[20];
  std::snprintf(text, sizeof text, "%04x:%04x:%04x:%04x",
                static_cast<unsigned>(value >> 48 & 0xffff),
                static_cast<unsigned>(value >> 32 & 0xffff),
                static_cast<unsigned>(value >> 16 & 0xffff), static_cast<unsigned>(value & 0xffff));
  return text;
}

}  // namespace railhead

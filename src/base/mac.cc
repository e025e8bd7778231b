#include "src/base/mac.h"

#include "src/base/text.h"

#include <cstdio>

namespace railhead {

Result<Mac> Mac::parse(std::string_view text) {
  const Error bad(
      ErrorCode::kInvalidArgument,
      "MAC address " + inQuotes(text) + ": expected six hexadecimal bytes, like 02:00:5e:10:00:01");
  const auto parts = split(text, ':');
  if (parts.size() != 6) return bad;
  Mac mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const auto byte = parts[i].size() == 2 ? parseHex(parts[i]) : std::nullopt;
    if (!byte) return bad;
    mac.bytes[i] = static_cast<std::uint8_t>(*byte);
  }
  return mac;
}

std::string Mac::toString() const {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2],
                bytes[3], bytes[4], bytes[5]);
  return text;
}

bool Mac::isZero() const { return *this == Mac{}; }

}  // namespace railhead

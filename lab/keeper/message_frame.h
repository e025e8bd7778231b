// The u32 LE length in front of every JSON message, for channels that do not block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace railhead::lab {

inline constexpr std::size_t kMessageHeader = 4;

inline std::string withLength(std::string_view message) {
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>((message.size() >> shift) & 0xff));
  }
  out.append(message);
  return out;
}

// `bytes` holds at least kMessageHeader.
inline std::uint32_t lengthAt(std::string_view bytes) {
  std::uint32_t length = 0;
  for (int i = 3; i >= 0; --i) {
    length = (length << 8) | static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
  }
  return length;
}

}  // namespace railhead::lab

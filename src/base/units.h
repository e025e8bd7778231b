// Quantities for people. Bandwidth of a network is in bits per second with decimal prefixes
// (1 Gb/s = 10^9 b/s); bytes in a message size have binary prefixes (1 KiB = 1024 B).
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace railhead {

inline constexpr std::uint64_t kMiB = 1ULL << 20;

// Bits per second. "40Mbit", "200Gbit", "2.5Gbit" (also Mb/s, Gb/s). Never a bare number:
// whoever writes "200" does not mean bits.
struct BitRate {
  double bitsPerSecond = 0;

  static Result<BitRate> parse(std::string_view text);
  static BitRate fromBytes(double bytes, double seconds) { return {bytes * 8 / seconds}; }
  double gbps() const { return bitsPerSecond / 1e9; }
  std::string toString() const;  // "200 Gb/s", "38.4 Mb/s"
};

std::string formatNumber(double value);  // "0.02", "1000000000": as it was given, no zeros behind
std::string formatBytes(std::uint64_t bytes);  // "64 KiB"
std::string formatSeconds(double seconds);     // "3.2 s", "450 ms", "12 µs"

}  // namespace railhead

// An Ethernet address. Value type.
#pragma once

#include "src/base/result.h"

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace railhead {

struct Mac {
  std::array<std::uint8_t, 6> bytes{};

  static Result<Mac> parse(std::string_view text);  // "02:00:5e:10:00:01"
  std::string toString() const;
  bool isZero() const;
  bool isMulticast() const { return (bytes[0] & 1) != 0; }
  bool isLocallyAdministered() const { return (bytes[0] & 2) != 0; }
  auto operator<=>(const Mac&) const = default;
};

}  // namespace railhead

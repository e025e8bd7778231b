// A PCI function's address, "0000:01:00.1". Value type.
#pragma once

#include "src/base/result.h"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace railhead {

struct PciAddress {
  std::uint32_t domain = 0;  // up to 32 bits: VMD and Hyper-V use more than 16
  std::uint8_t bus = 0;
  std::uint8_t device = 0;    // 0..31
  std::uint8_t function = 0;  // 0..7

  // Accepts "dddd:bb:dd.f" and "bb:dd.f" (domain 0), hexadecimal, either case.
  static Result<PciAddress> parse(std::string_view text);
  std::string toString() const;  // always with the domain, lower case
  auto operator<=>(const PciAddress&) const = default;
};

}  // namespace railhead

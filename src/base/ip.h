// IP addresses and subnets, both families. Value types; no name resolution.
#pragma once

#include "src/base/result.h"

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace railhead {

struct IpAddress {
  // IPv4 uses the first four bytes, the rest stay zero. Network byte order.
  std::array<std::uint8_t, 16> bytes{};
  bool v6 = false;

  static Result<IpAddress> parse(std::string_view text);
  static IpAddress v4(std::uint32_t hostOrder);
  std::string toString() const;
  int bits() const { return v6 ? 128 : 32; }
  // This address + offset; fails with kExhausted when it leaves the family's range.
  Result<IpAddress> plus(std::uint64_t offset) const;
  auto operator<=>(const IpAddress&) const = default;
};

// An address with its prefix length: "10.100.0.5/24". As a subnet its host bits are zero.
struct IpPrefix {
  IpAddress address;
  int length = 0;

  static Result<IpPrefix> parse(std::string_view text);
  std::string toString() const;
  IpPrefix network() const;     // host bits cleared
  IpAddress broadcast() const;  // last address of the prefix
  bool contains(const IpAddress& other) const;
  bool overlaps(const IpPrefix& other) const;
  auto operator<=>(const IpPrefix&) const = default;
};

}  // namespace railhead

// A 64-bit RDMA node or port GUID, and the 128-bit GID. Value types.
#pragma once

#include "src/base/mac.h"
#include "src/base/result.h"

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace railhead {

struct Guid {
  std::uint64_t value = 0;

  // sysfs form "0200:5eff:fe10:0001" or mlx form "02:00:5e:ff:fe:10:00:01".
  static Result<Guid> parse(std::string_view text);
  static Guid fromMac(const Mac& mac);  // EUI-64: flips the universal bit, puts ff:fe in the middle
  std::string toString() const;         // sysfs form
  bool isZero() const { return value == 0; }
  auto operator<=>(const Guid&) const = default;
};

}  // namespace railhead

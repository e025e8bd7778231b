// Reproducible pseudo-random bytes for patterns and tests (splitmix64). Not for secrets.
#pragma once

#include <cstdint>
#include <span>

namespace railhead {

class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();

 private:
  std::uint64_t state_;
};

// FNV-1a, 64 bit: stable over versions and architectures; used for derived MACs and names.
std::uint64_t stableHash(std::span<const std::uint8_t> bytes);

}  // namespace railhead

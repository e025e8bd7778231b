#include "src/bench/pattern.h"

#include "src/base/random.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace railhead::bench {
namespace {

std::uint64_t littleEndian(std::uint64_t word) {
  return std::endian::native == std::endian::little ? word : __builtin_bswap64(word);
}

void fill(std::span<std::byte> memory, std::uint64_t seed, std::uint64_t flip) {
  SplitMix stream(seed);
  for (std::size_t at = 0; at < memory.size(); at += 8) {
    const std::uint64_t word = littleEndian(stream.next() ^ flip);
    std::memcpy(memory.data() + at, &word, std::min<std::size_t>(8, memory.size() - at));
  }
}

}  // namespace

std::uint64_t derivedSeed(std::uint64_t seed, std::uint64_t phase, std::uint64_t rail) {
  SplitMix mixed(seed ^ (phase << 48) ^ (rail << 32));
  return mixed.next();
}

void fillPattern(std::span<std::byte> memory, std::uint64_t seed) { fill(memory, seed, 0); }

void fillInverted(std::span<std::byte> memory, std::uint64_t seed) {
  fill(memory, seed, ~std::uint64_t{0});
}

std::optional<Mismatch> findMismatch(std::span<const std::byte> memory, std::uint64_t seed,
                                     std::size_t written) {
  SplitMix stream(seed);
  std::optional<Mismatch> out;
  for (std::size_t at = 0; at < memory.size(); at += 8) {
    const std::size_t length = std::min<std::size_t>(8, memory.size() - at);
    const std::uint64_t word = littleEndian(stream.next());
    // Whole words of the written part, the common case, cost one comparison.
    if (at + 8 <= written && std::memcmp(memory.data() + at, &word, 8) == 0) continue;
    std::byte expected[8];
    std::memcpy(expected, &word, 8);
    for (std::size_t i = 0; i < length; ++i) {
      if (at + i >= written) expected[i] = ~expected[i];
      if (memory[at + i] == expected[i]) continue;
      if (!out) {
        out = Mismatch{at + i, std::to_integer<std::uint8_t>(expected[i]),
                       std::to_integer<std::uint8_t>(memory[at + i]), 0};
      }
      ++out->wrongBytes;
    }
  }
  return out;
}

}  // namespace railhead::bench

// Bytes that both ends can compute and no accident produces: a splitmix64 stream per seed, in
// little-endian words on every architecture. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace railhead::bench {

// A seed of its own for each phase and rail of one run.
std::uint64_t derivedSeed(std::uint64_t seed, std::uint64_t phase, std::uint64_t rail);

void fillPattern(std::span<std::byte> memory, std::uint64_t seed);
// Every byte differs from the pattern's byte there: what was not written can never look right.
void fillInverted(std::span<std::byte> memory, std::uint64_t seed);

struct Mismatch {
  std::size_t offset = 0;  // of the first wrong byte
  std::uint8_t expected = 0;
  std::uint8_t actual = 0;
  std::size_t wrongBytes = 0;  // in all
};

// Compares every byte: the first `written` with the pattern, the rest with its inverse (nothing may
// have been written there). nullopt when all are right.
std::optional<Mismatch> findMismatch(std::span<const std::byte> memory, std::uint64_t seed,
                                     std::size_t written);

}  // namespace railhead::bench

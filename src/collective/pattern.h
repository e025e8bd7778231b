// What each rank sends in a checked call, and what must arrive: a pure function of seed, rank and
// index, so that every element can be checked where it lies, on the host or on the GPU, without
// sending the expectation along. src/gpu/cuda/pattern_kernels computes the same on the device; a
// test holds the two together.
//
// Calls that only move bytes carry 32-bit words without a pattern a wrong copy could repeat:
//     word(seed, rank, i) = mix32(i + 0x9e3779b9 * (rank + 1) + mix32(seed))
// where i counts words of that rank's send buffer; of a last partial word the low bytes count.
// Calls that add up carry small whole numbers, whose sum every type holds exactly, in whichever
// order it is added (bfloat16 holds whole numbers up to 256, int8 up to 127):
//     number(seed, rank, i) = mix32(i + 0x85ebca6b * (rank + 1) + mix32(seed)) & numberMask(ranks)
//                             for contributing ranks, else 0
// With more than 64 ranks only every stride-th contributes, stride = ceil(ranks / 64).
//
//     mix32(x): x ^= x >> 16; x *= 0x21f0aaad; x ^= x >> 15; x *= 0x735a2d97; x ^= x >> 15
// (the 32-bit mixer of least bias found by the search of C. Wellons, public domain). i is taken
// modulo 2^32. Pure functions, thread-safe.
#pragma once

#include "src/collective/call.h"

#include <cstdint>

namespace railhead::collective {

constexpr std::uint32_t mix32(std::uint32_t x) {
  x ^= x >> 16;
  x *= 0x21f0aaadU;
  x ^= x >> 15;
  x *= 0x735a2d97U;
  x ^= x >> 15;
  return x;
}

constexpr std::uint32_t patternWord(std::uint32_t seed, int rank, std::uint32_t index) {
  return mix32(index + 0x9e3779b9U * (static_cast<std::uint32_t>(rank) + 1) + mix32(seed));
}

constexpr int numberStride(int ranks) { return (ranks + 63) / 64; }
constexpr int contributors(int ranks) {
  return (ranks + numberStride(ranks) - 1) / numberStride(ranks);
}
// The largest power of two less one with contributors * mask <= 127.
constexpr std::uint32_t numberMask(int ranks) {
  std::uint32_t mask = 1;
  while ((mask * 2 + 1) * static_cast<std::uint32_t>(contributors(ranks)) <= 127)
    mask = mask * 2 + 1;
  return mask;
}
constexpr std::uint32_t patternNumber(std::uint32_t seed, int rank, int ranks,
                                      std::uint32_t index) {
  if (rank % numberStride(ranks) != 0) return 0;
  return mix32(index + 0x85ebca6bU * (static_cast<std::uint32_t>(rank) + 1) + mix32(seed)) &
         numberMask(ranks);
}
constexpr std::uint32_t patternSum(std::uint32_t seed, int ranks, std::uint32_t index) {
  std::uint32_t sum = 0;
  for (int rank = 0; rank < ranks; rank += numberStride(ranks)) {
    sum += patternNumber(seed, rank, ranks, index);
  }
  return sum;
}

// One contiguous part of a rank's buffer and what must stand there.
struct Expectation {
  enum class Kind { kWords, kNumbers, kSums };
  Kind kind = Kind::kWords;
  ElementType type = ElementType::kFloat32;  // of numbers and sums
  std::size_t offset = 0;                    // bytes into the buffer
  std::size_t bytes = 0;
  int rank = 0;                  // whose words or numbers
  std::uint32_t firstIndex = 0;  // of the pattern at `offset`: words, or elements
  std::uint32_t seed = 0;
  int ranks = 1;
};

}  // namespace railhead::collective

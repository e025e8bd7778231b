#include "src/bench/pattern.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

TEST(Pattern, FirstBytesNeverChange) {
  // Both ends compute it, perhaps with different builds on different architectures.
  std::vector<std::byte> memory(10);
  fillPattern(memory, 0);
  // splitmix64 from seed 0: e220a8397b1dcdaf, 6e789e6aa1b965f4.
  const std::array<int, 10> expected{0xaf, 0xcd, 0x1d, 0x7b, 0x39, 0xa8, 0x20, 0xe2, 0xf4, 0x65};
  for (std::size_t i = 0; i < memory.size(); ++i) {
    EXPECT_EQ(std::to_integer<int>(memory[i]), expected[i]) << i;
  }
  EXPECT_FALSE(findMismatch(memory, 0, memory.size()).has_value());
  std::vector<std::byte> longer(4096);
  fillPattern(longer, 0);
  EXPECT_TRUE(std::equal(memory.begin(), memory.end(), longer.begin()));
}

TEST(Pattern, FindsTheFirstWrongByteAndCountsAll) {
  std::vector<std::byte> memory(4099);
  fillPattern(memory, 5);
  EXPECT_FALSE(findMismatch(memory, 5, memory.size()).has_value());
  memory[1234] ^= std::byte{0x10};
  memory[4098] ^= std::byte{0x01};
  const auto mismatch = findMismatch(memory, 5, memory.size());
  ASSERT_TRUE(mismatch.has_value());
  EXPECT_EQ(mismatch->offset, 1234U);
  EXPECT_EQ(mismatch->expected ^ mismatch->actual, 0x10);
  EXPECT_EQ(mismatch->wrongBytes, 2U);
}

TEST(Pattern, NothingUnwrittenLooksRight) {
  std::vector<std::byte> memory(1000);
  fillInverted(memory, 5);
  EXPECT_EQ(findMismatch(memory, 5, memory.size())->wrongBytes, 1000U);
  EXPECT_FALSE(findMismatch(memory, 5, 0).has_value());
}

TEST(Pattern, BytesBeyondTheWrittenPartMustBeUntouched) {
  std::vector<std::byte> memory(1000);
  std::vector<std::byte> pattern(1000);
  fillPattern(pattern, 9);
  fillInverted(memory, 9);
  std::copy_n(pattern.begin(), 500, memory.begin());
  EXPECT_FALSE(findMismatch(memory, 9, 500).has_value());
  EXPECT_EQ(findMismatch(memory, 9, 499)->offset, 499U);
  EXPECT_EQ(findMismatch(memory, 9, 501)->offset, 500U);
}

TEST(Pattern, EveryStepHasItsOwnSeed) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t phase = 0; phase < 5; ++phase) {
    for (std::uint64_t rail = 0; rail < 16; ++rail) seeds.insert(derivedSeed(1, phase, rail));
  }
  EXPECT_EQ(seeds.size(), 5U * 16);
}

}  // namespace
}  // namespace railhead::bench

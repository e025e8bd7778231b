#include "src/trainer/data_order.h"

#include "src/base/random.h"

#include <bit>

namespace railhead::trainer {
namespace {

constexpr int kFeistelRounds = 6;

// A permutation of 0 .. 4^halfBits - 1 chosen by `key`.
std::uint64_t permuted(std::uint64_t value, int halfBits, std::uint64_t key) {
  const std::uint64_t mask = (std::uint64_t{1} << halfBits) - 1;
  std::uint64_t left = value >> halfBits;
  std::uint64_t right = value & mask;
  for (int round = 0; round < kFeistelRounds; ++round) {
    const std::uint64_t mixed =
        SplitMix(key ^ SplitMix(right * kFeistelRounds + static_cast<std::uint64_t>(round)).next())
            .next();
    const std::uint64_t next = left ^ (mixed & mask);
    left = right;
    right = next;
  }
  return left << halfBits | right;
}

}  // namespace

std::uint64_t DataOrder::windowOf(std::uint64_t sample) const {
  const std::uint64_t epoch = sample / windows_;
  std::uint64_t value = sample % windows_;
  if (windows_ == 1) return value;
  const int halfBits = (std::bit_width(windows_ - 1) + 1) / 2;
  const std::uint64_t key = SplitMix(seed_ ^ SplitMix(epoch).next()).next();
  // At most three of four values lie outside, so this ends soon; it ends at all because a
  // permutation comes back to where it started, which lies inside.
  do {
    value = permuted(value, halfBits, key);
  } while (value >= windows_);
  return value;
}

std::vector<std::uint64_t> DataOrder::windowsOf(std::uint64_t step) const {
  std::vector<std::uint64_t> out(samplesPerStep_);
  for (std::uint64_t i = 0; i < samplesPerStep_; ++i) {
    out[i] = windowOf((step - 1) * samplesPerStep_ + i);
  }
  return out;
}

}  // namespace railhead::trainer

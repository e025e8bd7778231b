// Which part of the corpus is trained on when: a pure function of (seed, step), the same for every
// number of ranks, so that nothing of it needs to be kept in a checkpoint.
//
// The corpus is cut into windows that do not overlap. Sample n of the run (n counts from 0 over all
// steps) is window permutation(seed, n / windows)[n % windows]: every window once in each epoch, in
// an order of its own. The permutation is a Feistel network over the next power of four, walked
// until it falls inside (J. Black and P. Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
#pragma once

#include <cstdint>
#include <vector>

namespace railhead::trainer {

class DataOrder {
 public:
  // `windows` of at least 1; `samplesPerStep` over all ranks.
  DataOrder(std::uint64_t seed, std::uint64_t windows, std::uint64_t samplesPerStep)
      : seed_(seed), windows_(windows), samplesPerStep_(samplesPerStep) {}

  // The window of each sample of step 1, 2, ... in order.
  std::vector<std::uint64_t> windowsOf(std::uint64_t step) const;
  std::uint64_t windowOf(std::uint64_t sample) const;

 private:
  std::uint64_t seed_, windows_, samplesPerStep_;
};

}  // namespace railhead::trainer

// A grid of settings that was measured whole, as a bench: what a search finds in it is compared
// with the best that is there. One JSON document:
//
//   {"format": "railhead-grid 1", "simulated": false, "objective": "bandwidth",
//    "sizes": [{"operation": "allreduce", "bytes": 65536}, ...],
//    "settings": [{"setting": "default", "seconds": [[s, s, ...], ...]},
//                 {"setting": "NCCL_NTHREADS=64", "outcome": "hung"}, ...]}
//
// `seconds` has a list for each size, of as many samples as one likes; `outcome` is one of
// outcomeName() but "measured". Fields beside these (kernel, driver, topology, revision) are for
// the reader. The default must be there and measured.
#pragma once

#include "src/base/random.h"
#include "src/base/result.h"
#include "src/tune/trial.h"

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace railhead::testing_support {

class MeasuredGrid final : public tune::Bench {
 public:
  // `seed` chooses which samples a measurement gets.
  static Result<MeasuredGrid> parse(std::string_view json, std::uint64_t seed);

  // Samples drawn with replacement; a setting or size that is not in the grid is refused.
  Result<tune::Measurement> measure(const tune::Setting& setting, std::span<const tune::Size> sizes,
                                    int repetitions) override;

  void reseed(std::uint64_t seed) { random_ = SplitMix(seed); }

  const std::vector<tune::Size>& sizes() const { return sizes_; }
  const std::map<tune::Setting, tune::Measurement>& settings() const { return settings_; }
  bool isSimulated() const { return simulated_; }

 private:
  MeasuredGrid() = default;

  bool simulated_ = false;
  std::vector<tune::Size> sizes_;
  std::map<tune::Setting, tune::Measurement> settings_;
  SplitMix random_{0};
};

}  // namespace railhead::testing_support

// A grid of settings that was measured whole, as a bench: what a search finds in it is compared
// with the best that is there. One JSON document:
//
//   {"format": "railhead-grid 1", "simulated": false, "objective": "bandwidth",
//    "sizes": [{"operation": "allreduce", "bytes": 65536}, ...],
//    "settings": [{"setting": "default", "seconds": [[s, s, ...], ...]},
//                 {"setting": "NCCL_NTHREADS=64", "outcome": "hung"}, ...]}
//
// `seconds` has a list for each size, of as many samples as one likes; `outcome` is one of
// outcomeName() but "measured". "starts": N says that every list has N parts of equal length, each
// from ranks that were started anew: a measurement draws from one of them, and from another one
// when the environment (the knobs that begin with NCCL_) has changed since the last, as then ranks
// are started. Fields beside these (kernel, driver, topology, revision) are for the reader. The
// default must be there and measured.
#pragma once

#include "src/base/random.h"
#include "src/base/result.h"
#include "src/tune/trial.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
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

  // The part of a list that this measurement draws from.
  std::span<const double> drawnFrom(const std::vector<double>& samples) const;
  void startRanks(const tune::Setting& setting);

  bool simulated_ = false;
  std::size_t starts_ = 1;
  std::size_t start_ = 0;               // the present one
  std::optional<std::string> running_;  // its environment
  std::vector<tune::Size> sizes_;
  std::map<tune::Setting, tune::Measurement> settings_;
  SplitMix random_{0};
};

}  // namespace railhead::testing_support

// What counts as better, and how sure that is. Pure; value types.
#pragma once

#include "src/base/result.h"
#include "src/tune/size.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace railhead::tune {

// How much faster a candidate is than an incumbent: logarithms of (incumbent's time / candidate's
// time), the mean over pairs measured one after the other with its 95 % interval. Above 0 is
// faster.
struct Gain {
  std::size_t pairs = 0;
  double mean = 0;
  double low95 = 0;
  double high95 = 0;

  // The interval excludes zero. Never with fewer than two pairs: they have no interval.
  bool isBetter() const { return pairs > 1 && low95 > 0; }
  // Slower by more than `tolerance` (0.02: 2 %), as far as the interval tells.
  bool isWorse(double tolerance) const;
  // This gain, and `other` on top of it.
  Gain then(const Gain& other) const;
  double factor() const;  // 1.25: a quarter faster
  double lowFactor() const;
  double highFactor() const;

  bool operator==(const Gain&) const = default;
};

// From five pairs on, the fifth of them that lies lowest and the fifth that lies highest are left
// out: one pair that something else disturbed must not hide a gain, nor make one.
Gain gainOf(std::span<const double> logRatios);

enum class ObjectiveKind { kBandwidth, kLatency, kHistogram, kOverlapped };
std::string_view objectiveName(ObjectiveKind kind);  // "bandwidth", ...
Result<ObjectiveKind> parseObjective(std::string_view name);

struct WeightedSize {
  Size size;
  double weight = 0;  // calls of this size in a step; for the other objectives its share

  bool operator==(const WeightedSize&) const = default;
};

// Sizes of weight 0 are measured and guarded all the same: nothing may become worse there.
class Objective {
 public:
  static constexpr std::uint64_t kLargeBytes = 1U << 20;   // bandwidth is asked from here on
  static constexpr std::uint64_t kSmallBytes = 64U << 10;  // latency up to here

  // The first two weigh the sizes that are large or small enough alike, the third all of them: the
  // gain is the mean logarithm. kInvalidArgument when no size counts, when one is given twice, when
  // some are overlapped and others not (or not as the objective asks), or when there are none or
  // more than kMaxSizes (trial.h).
  static Result<Objective> over(ObjectiveKind kind, const std::vector<Size>& sizes);
  // The gain is that of the whole time of a step. Weights are finite, not negative, not all 0.
  static Result<Objective> histogram(std::vector<WeightedSize> sizes);

  ObjectiveKind kind() const { return kind_; }
  std::span<const Size> sizes() const { return sizes_; }
  std::span<const double> weights() const { return weights_; }

  // One pair's logarithm; seconds by size, all positive.
  double logRatio(std::span<const double> incumbent, std::span<const double> candidate) const;

 private:
  Objective(ObjectiveKind kind, const std::vector<WeightedSize>& sizes);
  static Result<Objective> checked(ObjectiveKind kind, std::vector<WeightedSize> sizes);

  ObjectiveKind kind_;
  std::vector<Size> sizes_;  // sorted
  std::vector<double> weights_;
};

}  // namespace railhead::tune

// SIMULATED: two nodes joined by one 200 Gb/s cable, both twins, as a tuner sees them. Latency and
// bandwidth of each algorithm, protocol and knob are a model around published figures (23.1 GB/s of
// all-reduce on both twins, 11.5 on one; 30 µs at 8 KB, a weak 67 µs at 64 KB; LL below 12.3 and
// LL128 below 22.98 GB/s). A shape to search in; no figure of it is a result.
#pragma once

#include "src/base/random.h"
#include "src/tune/space.h"
#include "src/tune/trial.h"

#include <cstdint>
#include <vector>

namespace railhead::testing_support {

// Settings that hold `part` end so, above all at a fast place.
struct PlantedFault {
  tune::Setting part;
  tune::Outcome outcome = tune::Outcome::kHung;
  std::uint64_t fromBytes = 0;  // at smaller sizes they are well
};

struct LandscapeOptions {
  std::uint64_t seed = 1;      // of the noise
  std::uint64_t variant = 0;   // where the best of QPs, buffer, threads and channels lies
  double noise = 0.02;         // deviation of the logarithm of one time
  double spikes = 0.02;        // share of times that are three times as long
  double driftPerCall = 0;     // of the logarithm, for each measure()
  bool stockIsSimple = false;  // the default takes no other protocol: LL wins where it is small
  std::vector<PlantedFault> faults;
};

class FakeLandscape final : public tune::Bench {
 public:
  explicit FakeLandscape(LandscapeOptions options);

  Result<tune::Measurement> measure(const tune::Setting& setting, std::span<const tune::Size> sizes,
                                    int repetitions) override;

  // Without noise, drift and faults.
  double trueSeconds(const tune::Setting& setting, const tune::Size& size) const;
  bool isFaulty(const tune::Setting& setting, const tune::Size& size) const;

  // What the model knows: QPs and splitting, buffer, threads and HCAs; algorithm, protocol and
  // channels of all-reduce and all-gather.
  static tune::Space space();
  // Smaller than that: what a grid of can be measured whole.
  static tune::Space smallSpace();
  static std::vector<tune::Size> sizes();

  std::uint64_t calls() const { return calls_; }
  // As if so many calls had been made: a resumed search finds the noise where the first left it.
  void skip(std::uint64_t calls) { calls_ = calls; }
  double elapsedSeconds() const { return elapsed_; }  // of a clock that only measuring moves

 private:
  struct Wire;  // what the environment makes of the wire
  Wire wireOf(const tune::Setting& setting) const;
  double noiseFactor(SplitMix& random) const;

  LandscapeOptions options_;
  std::uint64_t calls_ = 0;
  double elapsed_ = 0;
  tune::Setting last_;  // environment
};

}  // namespace railhead::testing_support

// Learning rate as a function of the step: a linear rise, then half a cosine down to a floor. Pure.
#pragma once

#include <cstdint>

namespace railhead::trainer {

struct Schedule {
  double peak = 6e-4;
  double floorShare = 0.1;  // of the peak, at the end
  std::uint64_t warmupSteps = 0;
  std::uint64_t steps = 0;  // of the whole run; the floor from there on
};

// Of step 1, 2, ...: the first one already moves, the last of the warm-up has the peak.
double learningRate(const Schedule& schedule, std::uint64_t step);

}  // namespace railhead::trainer

#include "src/trainer/schedule.h"

#include <cmath>
#include <numbers>

namespace railhead::trainer {

double learningRate(const Schedule& schedule, std::uint64_t step) {
  const auto at = static_cast<double>(step);
  const auto warmup = static_cast<double>(schedule.warmupSteps);
  if (step < schedule.warmupSteps) return schedule.peak * at / warmup;
  const double floor = schedule.peak * schedule.floorShare;
  if (step >= schedule.steps) return step == schedule.warmupSteps ? schedule.peak : floor;
  const double progress = (at - warmup) / (static_cast<double>(schedule.steps) - warmup);
  return floor + (schedule.peak - floor) * (1 + std::cos(std::numbers::pi * progress)) / 2;
}

}  // namespace railhead::trainer

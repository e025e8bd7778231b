// For a LibTorch before 2.4, which has no fused update on the CPU.
#include "src/trainer/torch/adamw.h"

#include <cmath>

#include <ATen/ATen.h>

namespace railhead::trainer {

namespace {

void updateOne(AdamwPiece& piece, const StepSettings& settings) {
  const auto step = static_cast<double>(settings.step);
  const double first = 1 - std::pow(settings.beta1, step);
  const double second = 1 - std::pow(settings.beta2, step);
  piece.firstMoment.lerp_(piece.gradient, 1 - settings.beta1);
  piece.secondMoment.mul_(settings.beta2)
      .addcmul_(piece.gradient, piece.gradient, 1 - settings.beta2);
  const auto spread = piece.secondMoment.sqrt().div_(std::sqrt(second)).add_(settings.epsilon);
  if (piece.weightDecay != 0) piece.parameter.mul_(1 - settings.learningRate * piece.weightDecay);
  piece.parameter.addcdiv_(piece.firstMoment, spread, -settings.learningRate / first);
}

}  // namespace

void adamwUpdate(std::vector<AdamwPiece>& pieces, const StepSettings& settings) {
  for (auto& piece : pieces) updateOne(piece, settings);
}

}  // namespace railhead::trainer

// For a LibTorch from 2.4 on: one kernel over everything, on the CPU too.
#include "src/trainer/torch/adamw.h"

#include <ATen/ATen.h>

namespace railhead::trainer {

void adamwUpdate(AdamwPiece& piece, const StepSettings& settings) {
  const std::vector<at::Tensor> parameters{piece.parameter};
  const std::vector<at::Tensor> gradients{piece.gradient};
  const std::vector<at::Tensor> first{piece.firstMoment};
  const std::vector<at::Tensor> second{piece.secondMoment};
  const std::vector<at::Tensor> steps{
      at::full({}, static_cast<double>(settings.step), piece.parameter.options())};
  at::_fused_adamw_(parameters, gradients, first, second, {}, steps, settings.learningRate,
                    settings.beta1, settings.beta2, piece.weightDecay, settings.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace railhead::trainer

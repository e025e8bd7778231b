// For a LibTorch from 2.4 on: few kernels over everything, on the CPU too.
#include "src/trainer/torch/adamw.h"

#include <map>

#include <ATen/ATen.h>

namespace railhead::trainer {
namespace {

struct Lists {
  std::vector<at::Tensor> parameters, gradients, first, second, steps;
};

}  // namespace

void adamwUpdate(std::vector<AdamwPiece>& pieces, const StepSettings& settings) {
  if (pieces.empty()) return;
  const auto step = at::full({}, static_cast<double>(settings.step), pieces[0].parameter.options());
  std::map<double, Lists> byDecay;
  for (auto& piece : pieces) {
    Lists& lists = byDecay[piece.weightDecay];
    lists.parameters.push_back(piece.parameter);
    lists.gradients.push_back(piece.gradient);
    lists.first.push_back(piece.firstMoment);
    lists.second.push_back(piece.secondMoment);
    lists.steps.push_back(step);
  }
  for (auto& [decay, lists] : byDecay) {
    at::_fused_adamw_(lists.parameters, lists.gradients, lists.first, lists.second, {}, lists.steps,
                      settings.learningRate, settings.beta1, settings.beta2, decay,
                      settings.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace railhead::trainer

#include "src/trainer/torch/token_loss.h"

#include <limits>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace railhead::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr float kLeastLikely = std::numeric_limits<float>::min();

class TokenLoss final : public torch::autograd::Function<TokenLoss> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weights, const at::Tensor& targets) {
    auto slopes = at::softmax(at::linear(hidden, weights), 1);
    const auto places = targets.unsqueeze(1);
    const auto likely = slopes.gather(1, places).to(at::kFloat);
    slopes.scatter_(1, places, 0);
    const auto others = slopes.sum(1, true, at::kFloat);  // 1 - likely, precise where that is small
    slopes.scatter_(1, places, -others.to(slopes.scalar_type()));
    context->save_for_backward({hidden, weights, slopes});
    const auto logarithms =
        at::where(likely < 0.5F, likely.clamp_min(kLeastLikely).log(), (-others).log1p());
    return -logarithms.mean();
  }

  // The mean's divisor is taken of the products, which are smaller than the slopes.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &hidden = saved[0], &weights = saved[1], &slopes = saved[2];
    const auto scale = gradients[0] / static_cast<double>(hidden.size(0));
    return {slopes.mm(weights) * scale, slopes.t().mm(hidden) * scale, at::Tensor()};
  }
};

}  // namespace

at::Tensor tokenLoss(const at::Tensor& hidden, const at::Tensor& weights,
                     const at::Tensor& targets) {
  return TokenLoss::apply(hidden, weights, targets);
}

}  // namespace railhead::trainer

// For a LibTorch before 2.0, which has no fused attention in its interface.
#include "src/trainer/torch/gpt2.h"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>

namespace railhead::trainer {

at::Tensor causalAttention(const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& values) {
  const auto tokens = queries.size(2);
  const double scale = 1 / std::sqrt(static_cast<double>(queries.size(3)));
  const auto later = at::ones({tokens, tokens}, queries.options().dtype(at::kBool)).triu_(1);
  const auto scores = at::matmul(queries, keys.transpose(2, 3)) * scale;
  const auto shares =
      at::softmax(scores.masked_fill(later, -std::numeric_limits<double>::infinity()), -1);
  return at::matmul(shares, values);
}

}  // namespace railhead::trainer

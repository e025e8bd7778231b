// The loss of a language model's last layer. Private to src/trainer/torch; throws what LibTorch
// throws.
#pragma once

#include <ATen/core/Tensor.h>

namespace railhead::trainer {

// The mean cross-entropy, in float32, of `targets` [tokens] (int64) after `hidden` [tokens, width],
// whose logits are its products with `weights` [vocabulary, width]. A target less likely than
// 1.2e-38 counts as that likely.
//
// The logits are most of the memory that a small model moves: with GPT-2's vocabulary 3.3 GB in
// bfloat16 for 32768 tokens. Their gradient is the softmax, less one at the target: what is left of
// it after the target's share is taken out says both precisely, in the logits' own type.
// LibTorch's cross_entropy_loss is used with float32 logits, whose logarithms it keeps, and goes
// over them five times more.
at::Tensor tokenLoss(const at::Tensor& hidden, const at::Tensor& weights,
                     const at::Tensor& targets);

}  // namespace railhead::trainer

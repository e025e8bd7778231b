// The model's forward pass. Private to src/trainer/torch (it passes LibTorch's types on); throws
// what LibTorch throws.
#pragma once

#include "src/trainer/shape.h"

#include <vector>

#include <ATen/core/Tensor.h>

namespace railhead::trainer {

// The mean cross-entropy of `targets` after `inputs`, both [sequences, tokens] of int64, in
// float32. `parameters`: in the order of parametersOf(shape).
at::Tensor gpt2Loss(const ModelShape& shape, const std::vector<at::Tensor>& parameters,
                    const at::Tensor& inputs, const at::Tensor& targets);

// Softmax of the scaled products with all earlier positions, over [sequences, heads, tokens, size].
// One source file for each kind of LibTorch (CMakeLists.txt): with or without a fused one.
at::Tensor causalAttention(const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& values);

}  // namespace railhead::trainer

// For a LibTorch from 2.0 on: its own choice among fused kernels.
#include "src/trainer/torch/gpt2.h"

#include <ATen/ATen.h>

namespace railhead::trainer {

at::Tensor causalAttention(const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& values) {
  return at::scaled_dot_product_attention(queries, keys, values, /*attn_mask=*/{},
                                          /*dropout_p=*/0.0, /*is_causal=*/true);
}

}  // namespace railhead::trainer

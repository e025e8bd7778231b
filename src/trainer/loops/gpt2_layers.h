// The layers of GPT-2 and their backward passes, float32, in plain loops whose order never changes:
// the same inputs give the same bits. Pure. Matrices lie row after row; a token is a row.
//
// Backward passes take the gradients of a layer's outputs and add those of its parameters to what
// is there; the gradients of its inputs are written, or where it says so, added.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace railhead::trainer::loops {

// A matrix [outputs, inputs] and its bias; without one: null.
struct LinearWeights {
  const float* matrix = nullptr;
  const float* bias = nullptr;
  std::size_t inputs = 0;
  std::size_t outputs = 0;
};
struct LinearGradients {
  float* matrix = nullptr;
  float* bias = nullptr;
};
void linear(std::span<const float> x, const LinearWeights& weights, std::span<float> y);
// `dx` is written.
void linearBack(std::span<const float> x, std::span<const float> dy, const LinearWeights& weights,
                const LinearGradients& gradients, std::span<float> dx);

struct NormWeights {
  const float* scale = nullptr;
  const float* bias = nullptr;
  std::size_t width = 0;
};
struct NormGradients {
  float* scale = nullptr;
  float* bias = nullptr;
};
void layerNorm(std::span<const float> x, const NormWeights& weights, std::span<float> y);
// `dx` is added to: a norm stands beside the residual stream.
void layerNormBack(std::span<const float> x, std::span<const float> dy, const NormWeights& weights,
                   const NormGradients& gradients, std::span<float> dx);

struct AttentionShape {
  std::size_t sequences = 0, tokens = 0, heads = 0, size = 0;  // size: of one head

  std::size_t width() const { return heads * size; }
  std::size_t shares() const { return sequences * heads * tokens * tokens; }
};
// `joint`: a row is queries, keys and values of all heads; `shares`: what each position takes of
// which, kept for the backward pass.
void attention(const AttentionShape& shape, std::span<const float> joint, std::span<float> shares,
               std::span<float> mixed);
void attentionBack(const AttentionShape& shape, std::span<const float> joint,
                   std::span<const float> shares, std::span<const float> dmixed,
                   std::span<float> djoint);

// In the form with tanh.
void gelu(std::span<const float> x, std::span<float> y);
// `dy` becomes `dx`.
void geluBack(std::span<const float> x, std::span<float> dy);

// The mean of the targets' cross-entropies. `logits` become their own gradients.
float crossEntropy(std::span<float> logits, std::span<const std::int32_t> targets,
                   std::size_t vocabulary);

}  // namespace railhead::trainer::loops

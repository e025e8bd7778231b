#include "src/trainer/loops/gpt2_passes.h"

#include "src/trainer/loops/gpt2_layers.h"

#include <algorithm>

namespace railhead::trainer::loops {
namespace {

// Places in parametersOf(shape).
constexpr std::size_t kTokens = 0;
constexpr std::size_t kPositions = 1;
constexpr std::size_t kFirstBlock = 2;
enum InBlock : std::size_t {
  kAttention,
  kAttentionOut,
  kWide,
  kWideOut,
  kNorm1,
  kNorm1Bias,
  kAttentionBias,
  kAttentionOutBias,
  kNorm2,
  kNorm2Bias,
  kWideBias,
  kWideOutBias,
  kBlockSize
};

std::size_t blockStart(std::size_t layer) { return kFirstBlock + layer * kBlockSize; }

void addTo(std::span<float> out, std::span<const float> more) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] += more[i];
}

}  // namespace

struct Gpt2Passes::Block {
  std::vector<float> before;  // the residual stream in front of it
  std::vector<float> norm1, joint, shares, mixed;
  std::vector<float> between;  // and behind its attention
  std::vector<float> norm2, wide, bent;
};

Gpt2Passes::Gpt2Passes(const ModelShape& shape, const FlatPlan& plan,
                       std::span<const float> weights, std::span<float> gradients)
    : shape_(shape),
      plan_(plan),
      weights_(weights),
      gradients_(gradients),
      blocks_(shape.layers) {}

Gpt2Passes::~Gpt2Passes() = default;

const float* Gpt2Passes::weight(std::size_t parameter) const {
  return weights_.data() + plan_.offsetOf(parameter);
}

float* Gpt2Passes::gradient(std::size_t parameter) const {
  return gradients_.data() + plan_.offsetOf(parameter);
}

Result<float> Gpt2Passes::run(const Batch& batch, const Whole& whole) {
  sequences_ = batch.sequences;
  rows_ = batch.inputs.size();
  embed(batch);
  for (std::size_t layer = 0; layer < shape_.layers; ++layer) forward(layer);
  const float loss = judge(batch);
  RAILHEAD_TRY(whole(blockStart(shape_.layers)));
  for (std::size_t layer = shape_.layers; layer-- > 0;) {
    backward(layer);
    RAILHEAD_TRY(whole(blockStart(layer)));
  }
  embedBack(batch);
  RAILHEAD_TRY(whole(0));
  return loss;
}

void Gpt2Passes::embed(const Batch& batch) {
  const std::size_t width = shape_.width;
  const std::size_t tokens = rows_ / sequences_;
  stream_.resize(rows_ * width);
  for (std::size_t row = 0; row < rows_; ++row) {
    const float* token = weight(kTokens) + static_cast<std::size_t>(batch.inputs[row]) * width;
    const float* position = weight(kPositions) + row % tokens * width;
    for (std::size_t i = 0; i < width; ++i) stream_[row * width + i] = token[i] + position[i];
  }
}

void Gpt2Passes::embedBack(const Batch& batch) {
  const std::size_t width = shape_.width;
  const std::size_t tokens = rows_ / sequences_;
  for (std::size_t row = 0; row < rows_; ++row) {
    float* token = gradient(kTokens) + static_cast<std::size_t>(batch.inputs[row]) * width;
    float* position = gradient(kPositions) + row % tokens * width;
    for (std::size_t i = 0; i < width; ++i) {
      token[i] += dstream_[row * width + i];
      position[i] += dstream_[row * width + i];
    }
  }
}

void Gpt2Passes::forward(std::size_t layer) {
  const std::size_t width = shape_.width;
  const std::size_t at = blockStart(layer);
  const AttentionShape heads{sequences_, rows_ / sequences_, shape_.heads, width / shape_.heads};
  Block& block = blocks_[layer];
  block.before = stream_;
  block.norm1.resize(rows_ * width);
  layerNorm(stream_, {weight(at + kNorm1), weight(at + kNorm1Bias), width}, block.norm1);
  block.joint.resize(rows_ * 3 * width);
  linear(block.norm1, {weight(at + kAttention), weight(at + kAttentionBias), width, 3 * width},
         block.joint);
  block.shares.resize(heads.shares());
  block.mixed.resize(rows_ * width);
  attention(heads, block.joint, block.shares, block.mixed);
  std::vector<float> added(rows_ * width);
  linear(block.mixed, {weight(at + kAttentionOut), weight(at + kAttentionOutBias), width, width},
         added);
  addTo(stream_, added);

  block.between = stream_;
  block.norm2.resize(rows_ * width);
  layerNorm(stream_, {weight(at + kNorm2), weight(at + kNorm2Bias), width}, block.norm2);
  block.wide.resize(rows_ * 4 * width);
  linear(block.norm2, {weight(at + kWide), weight(at + kWideBias), width, 4 * width}, block.wide);
  block.bent.resize(block.wide.size());
  gelu(block.wide, block.bent);
  linear(block.bent, {weight(at + kWideOut), weight(at + kWideOutBias), 4 * width, width}, added);
  addTo(stream_, added);
}

void Gpt2Passes::backward(std::size_t layer) {
  const std::size_t width = shape_.width;
  const std::size_t at = blockStart(layer);
  const AttentionShape heads{sequences_, rows_ / sequences_, shape_.heads, width / shape_.heads};
  const Block& block = blocks_[layer];
  std::vector<float> dwide(rows_ * 4 * width);
  linearBack(block.bent, dstream_, {weight(at + kWideOut), nullptr, 4 * width, width},
             {gradient(at + kWideOut), gradient(at + kWideOutBias)}, dwide);
  geluBack(block.wide, dwide);
  std::vector<float> dnorm(rows_ * width);
  linearBack(block.norm2, dwide, {weight(at + kWide), nullptr, width, 4 * width},
             {gradient(at + kWide), gradient(at + kWideBias)}, dnorm);
  layerNormBack(block.between, dnorm, {weight(at + kNorm2), weight(at + kNorm2Bias), width},
                {gradient(at + kNorm2), gradient(at + kNorm2Bias)}, dstream_);

  std::vector<float> dmixed(rows_ * width);
  linearBack(block.mixed, dstream_, {weight(at + kAttentionOut), nullptr, width, width},
             {gradient(at + kAttentionOut), gradient(at + kAttentionOutBias)}, dmixed);
  std::vector<float> djoint(rows_ * 3 * width);
  attentionBack(heads, block.joint, block.shares, dmixed, djoint);
  linearBack(block.norm1, djoint, {weight(at + kAttention), nullptr, width, 3 * width},
             {gradient(at + kAttention), gradient(at + kAttentionBias)}, dnorm);
  layerNormBack(block.before, dnorm, {weight(at + kNorm1), weight(at + kNorm1Bias), width},
                {gradient(at + kNorm1), gradient(at + kNorm1Bias)}, dstream_);
}

// The last norm, the logits and the loss, and the way back to the residual stream.
float Gpt2Passes::judge(const Batch& batch) {
  const std::size_t width = shape_.width;
  const std::size_t at = blockStart(shape_.layers);
  const NormWeights last{weight(at), weight(at + 1), width};
  const LinearWeights head{weight(kTokens), nullptr, width, shape_.vocabulary};
  std::vector<float> norm(rows_ * width);
  layerNorm(stream_, last, norm);
  std::vector<float> logits(rows_ * shape_.vocabulary);
  linear(norm, head, logits);
  const float loss = crossEntropy(logits, batch.targets, shape_.vocabulary);
  std::vector<float> dnorm(rows_ * width);
  linearBack(norm, logits, head, {gradient(kTokens), nullptr}, dnorm);
  dstream_.assign(rows_ * width, 0);
  layerNormBack(stream_, dnorm, last, {gradient(at), gradient(at + 1)}, dstream_);
  return loss;
}

}  // namespace railhead::trainer::loops

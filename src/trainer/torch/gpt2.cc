#include "src/trainer/torch/gpt2.h"

#include "src/trainer/torch/token_loss.h"

#include <ATen/ATen.h>

namespace railhead::trainer {
namespace {

constexpr double kNormEpsilon = 1e-5;

// Hands out the parameters one after the other, as parametersOf() lists them.
class ParameterCursor {
 public:
  explicit ParameterCursor(const std::vector<at::Tensor>& parameters) : parameters_(parameters) {}
  const at::Tensor& next() { return parameters_[next_++]; }

 private:
  const std::vector<at::Tensor>& parameters_;
  std::size_t next_ = 0;
};

struct Block {
  explicit Block(ParameterCursor& cursor)
      : attention(cursor.next()),
        attentionOut(cursor.next()),
        wide(cursor.next()),
        wideOut(cursor.next()),
        norm1(cursor.next()),
        norm1Bias(cursor.next()),
        attentionBias(cursor.next()),
        attentionOutBias(cursor.next()),
        norm2(cursor.next()),
        norm2Bias(cursor.next()),
        wideBias(cursor.next()),
        wideOutBias(cursor.next()) {}
  const at::Tensor &attention, &attentionOut, &wide, &wideOut, &norm1, &norm1Bias, &attentionBias,
      &attentionOutBias, &norm2, &norm2Bias, &wideBias, &wideOutBias;
};

at::Tensor normalized(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::layer_norm(x, {x.size(-1)}, weight, bias, kNormEpsilon);
}

at::Tensor attended(const Block& block, const at::Tensor& x, std::int64_t heads) {
  const auto sequences = x.size(0);
  const auto tokens = x.size(1);
  const auto width = x.size(2);
  const auto joint = at::linear(x, block.attention, block.attentionBias)
                         .view({sequences, tokens, 3, heads, width / heads})
                         .permute({2, 0, 3, 1, 4})
                         .unbind();  // one gradient for the three, not a sum of three
  const auto mixed = causalAttention(joint[0], joint[1], joint[2]);
  return at::linear(mixed.transpose(1, 2).reshape({sequences, tokens, width}), block.attentionOut,
                    block.attentionOutBias);
}

at::Tensor widened(const Block& block, const at::Tensor& x) {
  return at::linear(at::gelu(at::linear(x, block.wide, block.wideBias), "tanh"), block.wideOut,
                    block.wideOutBias);
}

}  // namespace

at::Tensor gpt2Loss(const ModelShape& shape, const std::vector<at::Tensor>& parameters,
                    const at::Tensor& inputs, const at::Tensor& targets) {
  ParameterCursor cursor(parameters);
  const at::Tensor& tokens = cursor.next();
  const at::Tensor& positions = cursor.next();
  at::Tensor x = at::embedding(tokens, inputs) + positions.narrow(0, 0, inputs.size(1));
  for (std::uint64_t layer = 0; layer < shape.layers; ++layer) {
    const Block block(cursor);
    x = x + attended(block, normalized(x, block.norm1, block.norm1Bias),
                     static_cast<std::int64_t>(shape.heads));
    x = x + widened(block, normalized(x, block.norm2, block.norm2Bias));
  }
  const at::Tensor& norm = cursor.next();
  const at::Tensor& normBias = cursor.next();
  return tokenLoss(normalized(x, norm, normBias).flatten(0, 1), tokens, targets.flatten());
}

}  // namespace railhead::trainer

// Forward and backward pass of the whole model (shape.h) over the padded buffers of a FlatPlan.
// Used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/trainer/engine.h"

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace railhead::trainer::loops {

class Gpt2Passes {
 public:
  // The plan and the buffers outlive it.
  Gpt2Passes(const ModelShape& shape, const FlatPlan& plan, std::span<const float> weights,
             std::span<float> gradients);
  ~Gpt2Passes();

  // Told during the backward pass: the gradients of this parameter and all behind it are whole.
  using Whole = std::function<Result<void>(std::size_t parameter)>;
  // The mean loss of the batch. Gradients are added to what is there.
  Result<float> run(const Batch& batch, const Whole& whole);

 private:
  struct Block;  // what a block's forward pass leaves for its backward pass

  void embed(const Batch& batch);
  void forward(std::size_t layer);
  void backward(std::size_t layer);
  void embedBack(const Batch& batch);
  float judge(const Batch& batch);

  const float* weight(std::size_t parameter) const;
  float* gradient(std::size_t parameter) const;

  ModelShape shape_;
  const FlatPlan& plan_;
  std::span<const float> weights_;
  std::span<float> gradients_;
  std::size_t rows_ = 0, sequences_ = 0;
  std::vector<Block> blocks_;
  std::vector<float> stream_;   // the residual stream behind the last block
  std::vector<float> dstream_;  // its gradient, on the way back
};

}  // namespace railhead::trainer::loops

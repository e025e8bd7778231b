// What model is trained: its sizes, and its parameters in the order of the flat space.
//
// The model is GPT-2's (A. Radford et al., "Language Models are Unsupervised Multitask Learners",
// 2019): learned positions, blocks of attention and a four times wider layer, layer norm before
// each, GELU in its tanh form, the output tied to the token embedding. No dropout.
//
// The flat space is all parameters behind each other, without gaps: what is cut into buckets and
// shards, and what a checkpoint holds. Its order is one in which a backward pass comes to them from
// the end to the beginning, and depends on the shape alone. Pure; value types.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::trainer {

struct ModelShape {
  std::uint64_t layers = 0;
  std::uint64_t heads = 0;
  std::uint64_t width = 0;    // a multiple of heads
  std::uint64_t context = 0;  // tokens of a sequence
  std::uint64_t vocabulary =
      0;  // rows of the token embedding; at least as many as there are tokens

  bool operator==(const ModelShape&) const = default;
};

// kInvalidArgument names the field, its value and what is allowed.
Result<void> checkShape(const ModelShape& shape);

// "tiny", "124M", "350M", "774M", "1558M"; kInvalidArgument lists them. The vocabulary is GPT-2's,
// rounded up to a multiple of 128; tiny's is that of bytes.
Result<ModelShape> shapeNamed(std::string_view name);
std::vector<std::string> shapeNames();

struct Parameter {
  std::string name;           // "h.3.attention.weight"
  std::uint64_t rows = 0;     // of a vector: its length, and columns is 0
  std::uint64_t columns = 0;  // of a matrix
  std::uint64_t begin = 0;    // in the flat space, in elements
  bool decays = false;        // weight decay: matrices, embeddings included
  double deviation = 0;       // of its normal initial values around `mean`; 0: all alike
  double mean = 0;

  std::uint64_t count() const { return rows * (columns == 0 ? 1 : columns); }
  std::uint64_t end() const { return begin + count(); }
};

// Embeddings first, then block by block (its matrices, then its vectors), then the last norm.
std::vector<Parameter> parametersOf(const ModelShape& shape);
std::uint64_t parameterCount(const ModelShape& shape);

// Multiply-adds count as two: forward and backward pass over one token, the usual 6 * parameters
// (without position embeddings) plus attention's 12 * layers * width * context.
double flopsPerToken(const ModelShape& shape);

// The initial value of one element of a parameter: a pure function of seed, parameter and element,
// so that every rank can make any part of the model.
class InitialValues {
 public:
  InitialValues(std::uint64_t seed, const Parameter& parameter, std::size_t index);
  float at(std::uint64_t element) const;
  // The values from `first` on.
  void fill(std::uint64_t first, std::span<float> out) const;

 private:
  struct Two {
    double values[2];
  };
  Two pair(std::uint64_t index) const;

  std::uint64_t key_;
  double mean_, deviation_;
};

}  // namespace railhead::trainer

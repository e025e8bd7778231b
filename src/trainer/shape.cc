#include "src/trainer/shape.h"

#include "src/base/random.h"
#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace railhead::trainer {
namespace {

struct NamedShape {
  std::string_view name;
  ModelShape shape;
};

constexpr std::uint64_t kGpt2Vocabulary = 50304;
// Of the paper's four sizes layers, heads and width.
constexpr std::array kNamedShapes{
    NamedShape{"tiny", {4, 4, 128, 128, 256}},
    NamedShape{"124M", {12, 12, 768, 1024, kGpt2Vocabulary}},
    NamedShape{"350M", {24, 16, 1024, 1024, kGpt2Vocabulary}},
    NamedShape{"774M", {36, 20, 1280, 1024, kGpt2Vocabulary}},
    NamedShape{"1558M", {48, 25, 1600, 1024, kGpt2Vocabulary}},
};

constexpr double kDeviation = 0.02;

struct Bound {
  const char* name;
  std::uint64_t value;
  std::uint64_t most;
};

// Appends parameters and keeps their place in the flat space.
class ParameterList {
 public:
  void matrix(std::string name, std::uint64_t rows, std::uint64_t columns, double deviation) {
    add({std::move(name), rows, columns, 0, true, deviation, 0});
  }
  void vector(std::string name, std::uint64_t length, double mean) {
    add({std::move(name), length, 0, 0, false, 0, mean});
  }
  std::vector<Parameter> take() { return std::move(parameters_); }

 private:
  void add(Parameter parameter) {
    parameter.begin = parameters_.empty() ? 0 : parameters_.back().end();
    parameters_.push_back(std::move(parameter));
  }
  std::vector<Parameter> parameters_;
};

}  // namespace

Result<void> checkShape(const ModelShape& shape) {
  for (const Bound& bound :
       {Bound{"layers", shape.layers, 1024}, Bound{"heads", shape.heads, 1024},
        Bound{"width", shape.width, 1 << 16}, Bound{"context", shape.context, 1 << 20},
        Bound{"vocabulary", shape.vocabulary, 1 << 24}}) {
    if (bound.value >= 1 && bound.value <= bound.most) continue;
    return Error(ErrorCode::kInvalidArgument, std::string(bound.name) + " is " +
                                                  std::to_string(bound.value) + ": expected 1 to " +
                                                  std::to_string(bound.most));
  }
  if (shape.width % shape.heads != 0) {
    return Error(ErrorCode::kInvalidArgument, "width is " + std::to_string(shape.width) +
                                                  ": expected a multiple of the " +
                                                  std::to_string(shape.heads) + " heads");
  }
  return {};
}

Result<ModelShape> shapeNamed(std::string_view name) {
  for (const auto& named : kNamedShapes) {
    if (named.name == name) return named.shape;
  }
  return Error(ErrorCode::kInvalidArgument,
               "model " + inQuotes(name) + ": expected " + join(shapeNames(), ", "));
}

std::vector<std::string> shapeNames() {
  std::vector<std::string> out;
  for (const auto& named : kNamedShapes) out.emplace_back(named.name);
  return out;
}

std::vector<Parameter> parametersOf(const ModelShape& shape) {
  // What adds to the residual stream starts smaller, by the number of such layers.
  const double residual = kDeviation / std::sqrt(2.0 * static_cast<double>(shape.layers));
  const std::uint64_t width = shape.width;
  ParameterList list;
  list.matrix("tokens.weight", shape.vocabulary, width, kDeviation);
  list.matrix("positions.weight", shape.context, width, kDeviation);
  for (std::uint64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string block = "h." + std::to_string(layer) + ".";
    list.matrix(block + "attention.weight", 3 * width, width, kDeviation);
    list.matrix(block + "attention_out.weight", width, width, residual);
    list.matrix(block + "wide.weight", 4 * width, width, kDeviation);
    list.matrix(block + "wide_out.weight", width, 4 * width, residual);
    list.vector(block + "norm_1.weight", width, 1);
    list.vector(block + "norm_1.bias", width, 0);
    list.vector(block + "attention.bias", 3 * width, 0);
    list.vector(block + "attention_out.bias", width, 0);
    list.vector(block + "norm_2.weight", width, 1);
    list.vector(block + "norm_2.bias", width, 0);
    list.vector(block + "wide.bias", 4 * width, 0);
    list.vector(block + "wide_out.bias", width, 0);
  }
  list.vector("norm.weight", width, 1);
  list.vector("norm.bias", width, 0);
  return list.take();
}

std::uint64_t parameterCount(const ModelShape& shape) { return parametersOf(shape).back().end(); }

double flopsPerToken(const ModelShape& shape) {
  const auto weights = static_cast<double>(parameterCount(shape) - shape.context * shape.width);
  return 6 * weights + 12.0 * static_cast<double>(shape.layers) * static_cast<double>(shape.width) *
                           static_cast<double>(shape.context);
}

InitialValues::InitialValues(std::uint64_t seed, const Parameter& parameter, std::size_t index)
    : key_(SplitMix(seed ^ SplitMix(index + 1).next()).next()),
      mean_(parameter.mean),
      deviation_(parameter.deviation) {}

// Box and Muller's transform of two uniform numbers; each pair of elements shares them.
InitialValues::Two InitialValues::pair(std::uint64_t index) const {
  // SplitMix steps by this constant: a pair begins two steps behind the one before it.
  SplitMix random(key_ + index * 2 * 0x9e3779b97f4a7c15U);
  constexpr double kUnit = 0x1p-53;
  const double first = (static_cast<double>(random.next() >> 11) + 0.5) * kUnit;
  const double second = static_cast<double>(random.next() >> 11) * kUnit;
  const double radius = deviation_ * std::sqrt(-2 * std::log(first));
  const double angle = 2 * std::numbers::pi * second;
  return {{mean_ + radius * std::cos(angle), mean_ + radius * std::sin(angle)}};
}

float InitialValues::at(std::uint64_t element) const {
  float value = 0;
  fill(element, {&value, 1});
  return value;
}

void InitialValues::fill(std::uint64_t first, std::span<float> out) const {
  if (deviation_ == 0) {
    std::fill(out.begin(), out.end(), static_cast<float>(mean_));
    return;
  }
  for (std::size_t i = 0; i < out.size();) {
    const std::uint64_t element = first + i;
    const Two two = pair(element / 2);
    out[i++] = static_cast<float>(two.values[element % 2]);
    if (element % 2 == 0 && i < out.size()) out[i++] = static_cast<float>(two.values[1]);
  }
}

}  // namespace railhead::trainer

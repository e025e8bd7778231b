#include "src/trainer/loops/gpt2_layers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace railhead::trainer::loops {
namespace {

constexpr float kNormEpsilon = 1e-5F;
constexpr float kGeluCubic = 0.044715F;

// In four sums, which a CPU adds side by side; the compiler may not make them of one.
float dot(const float* a, const float* b, std::size_t count) {
  float sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (std::size_t k = 0; k < 4; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < count; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void addScaled(float factor, const float* x, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] += factor * x[i];
}

struct Spread {
  float mean;
  float inverse;  // of the deviation
};

Spread spreadOf(const float* x, std::size_t width) {
  float mean = 0;
  for (std::size_t i = 0; i < width; ++i) mean += x[i];
  mean /= static_cast<float>(width);
  float variance = 0;
  for (std::size_t i = 0; i < width; ++i) variance += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / std::sqrt(variance / static_cast<float>(width) + kNormEpsilon)};
}

// One head of one sequence in the joint rows.
struct Head {
  std::size_t row;  // of joint: 3 * width
  std::size_t query, key, value;
  std::size_t mixed;  // its place in a row of the mixed values
};

template <typename Body>
void forEachHead(const AttentionShape& shape, const Body& body) {
  const std::size_t width = shape.width();
  for (std::size_t sequence = 0; sequence < shape.sequences; ++sequence) {
    for (std::size_t head = 0; head < shape.heads; ++head) {
      const std::size_t first = sequence * shape.tokens * 3 * width + head * shape.size;
      const Head at{3 * width, first, first + width, first + 2 * width,
                    sequence * shape.tokens * width + head * shape.size};
      body(at, (sequence * shape.heads + head) * shape.tokens * shape.tokens);
    }
  }
}

// Products become shares that add up to 1.
void softmax(float* values, std::size_t count) {
  const float largest = *std::max_element(values, values + count);
  float sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::exp(values[i] - largest);
    sum += values[i];
  }
  for (std::size_t i = 0; i < count; ++i) values[i] /= sum;
}

}  // namespace

void linear(std::span<const float> x, const LinearWeights& weights, std::span<float> y) {
  const std::size_t rows = x.size() / weights.inputs;
  for (std::size_t row = 0; row < rows; ++row) {
    const float* in = x.data() + row * weights.inputs;
    float* out = y.data() + row * weights.outputs;
    for (std::size_t o = 0; o < weights.outputs; ++o) {
      const float bias = weights.bias == nullptr ? 0 : weights.bias[o];
      out[o] = bias + dot(in, weights.matrix + o * weights.inputs, weights.inputs);
    }
  }
}

void linearBack(std::span<const float> x, std::span<const float> dy, const LinearWeights& weights,
                const LinearGradients& gradients, std::span<float> dx) {
  const std::size_t rows = x.size() / weights.inputs;
  std::fill(dx.begin(), dx.end(), 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const float* in = x.data() + row * weights.inputs;
    const float* out = dy.data() + row * weights.outputs;
    for (std::size_t o = 0; o < weights.outputs; ++o) {
      addScaled(out[o], weights.matrix + o * weights.inputs, dx.data() + row * weights.inputs,
                weights.inputs);
      addScaled(out[o], in, gradients.matrix + o * weights.inputs, weights.inputs);
      if (gradients.bias != nullptr) gradients.bias[o] += out[o];
    }
  }
}

void layerNorm(std::span<const float> x, const NormWeights& weights, std::span<float> y) {
  const std::size_t width = weights.width;
  for (std::size_t at = 0; at < x.size(); at += width) {
    const Spread spread = spreadOf(x.data() + at, width);
    for (std::size_t i = 0; i < width; ++i) {
      y[at + i] = (x[at + i] - spread.mean) * spread.inverse * weights.scale[i] + weights.bias[i];
    }
  }
}

void layerNormBack(std::span<const float> x, std::span<const float> dy, const NormWeights& weights,
                   const NormGradients& gradients, std::span<float> dx) {
  const std::size_t width = weights.width;
  const auto count = static_cast<float>(width);
  for (std::size_t at = 0; at < x.size(); at += width) {
    const Spread spread = spreadOf(x.data() + at, width);
    const auto normal = [&](std::size_t i) { return (x[at + i] - spread.mean) * spread.inverse; };
    float sum = 0;
    float along = 0;  // the part that the deviation answers for
    for (std::size_t i = 0; i < width; ++i) {
      const float slope = dy[at + i] * weights.scale[i];
      sum += slope;
      along += slope * normal(i);
      gradients.scale[i] += dy[at + i] * normal(i);
      gradients.bias[i] += dy[at + i];
    }
    for (std::size_t i = 0; i < width; ++i) {
      const float slope = dy[at + i] * weights.scale[i];
      dx[at + i] += (slope - sum / count - normal(i) * along / count) * spread.inverse;
    }
  }
}

void attention(const AttentionShape& shape, std::span<const float> joint, std::span<float> shares,
               std::span<float> mixed) {
  const float scale = 1 / std::sqrt(static_cast<float>(shape.size));
  std::fill(mixed.begin(), mixed.end(), 0.0F);
  std::fill(shares.begin(), shares.end(), 0.0F);
  forEachHead(shape, [&](const Head& head, std::size_t first) {
    for (std::size_t t = 0; t < shape.tokens; ++t) {
      float* row = shares.data() + first + t * shape.tokens;
      const float* query = joint.data() + head.query + t * head.row;
      for (std::size_t u = 0; u <= t; ++u) {
        row[u] = scale * dot(query, joint.data() + head.key + u * head.row, shape.size);
      }
      softmax(row, t + 1);
      float* out = mixed.data() + head.mixed + t * shape.width();
      for (std::size_t u = 0; u <= t; ++u) {
        addScaled(row[u], joint.data() + head.value + u * head.row, out, shape.size);
      }
    }
  });
}

void attentionBack(const AttentionShape& shape, std::span<const float> joint,
                   std::span<const float> shares, std::span<const float> dmixed,
                   std::span<float> djoint) {
  const float scale = 1 / std::sqrt(static_cast<float>(shape.size));
  std::fill(djoint.begin(), djoint.end(), 0.0F);
  std::vector<float> dshares(shape.tokens);
  forEachHead(shape, [&](const Head& head, std::size_t first) {
    for (std::size_t t = 0; t < shape.tokens; ++t) {
      const float* row = shares.data() + first + t * shape.tokens;
      const float* out = dmixed.data() + head.mixed + t * shape.width();
      float along = 0;
      for (std::size_t u = 0; u <= t; ++u) {
        addScaled(row[u], out, djoint.data() + head.value + u * head.row, shape.size);
        dshares[u] = dot(out, joint.data() + head.value + u * head.row, shape.size);
        along += row[u] * dshares[u];
      }
      for (std::size_t u = 0; u <= t; ++u) {
        const float slope = row[u] * (dshares[u] - along) * scale;
        addScaled(slope, joint.data() + head.key + u * head.row,
                  djoint.data() + head.query + t * head.row, shape.size);
        addScaled(slope, joint.data() + head.query + t * head.row,
                  djoint.data() + head.key + u * head.row, shape.size);
      }
    }
  });
}

void gelu(std::span<const float> x, std::span<float> y) {
  const float root = std::sqrt(2 / std::numbers::pi_v<float>);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float inner = root * (x[i] + kGeluCubic * x[i] * x[i] * x[i]);
    y[i] = 0.5F * x[i] * (1 + std::tanh(inner));
  }
}

void geluBack(std::span<const float> x, std::span<float> dy) {
  const float root = std::sqrt(2 / std::numbers::pi_v<float>);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float bent = std::tanh(root * (x[i] + kGeluCubic * x[i] * x[i] * x[i]));
    const float inner = root * (1 + 3 * kGeluCubic * x[i] * x[i]);
    dy[i] *= 0.5F * (1 + bent) + 0.5F * x[i] * (1 - bent * bent) * inner;
  }
}

float crossEntropy(std::span<float> logits, std::span<const std::int32_t> targets,
                   std::size_t vocabulary) {
  const auto count = static_cast<double>(targets.size());
  double loss = 0;
  for (std::size_t row = 0; row < targets.size(); ++row) {
    float* values = logits.data() + row * vocabulary;
    const auto target = static_cast<std::size_t>(targets[row]);
    softmax(values, vocabulary);
    // A share that is too small for a float costs as much as the smallest one.
    loss -= std::log(std::max(static_cast<double>(values[target]), 1e-45));
    values[target] -= 1;
    for (std::size_t i = 0; i < vocabulary; ++i) values[i] /= static_cast<float>(count);
  }
  return static_cast<float>(loss / count);
}

}  // namespace railhead::trainer::loops

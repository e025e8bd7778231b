#include "src/trainer/host_optimizer.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace railhead::trainer {

HostOptimizer::HostOptimizer(const FlatPlan& plan, int rank, bool sharded, std::span<float> weights,
                             std::span<float> gradients)
    : pieces_(sharded ? plan.piecesOf(rank) : plan.allPieces()),
      part_(plan.piecesOf(rank)),
      gradients_(gradients) {
  for (const auto& piece : pieces_) {
    const auto count = piece.flat.count();
    kept_.push_back({piece, weights.subspan(piece.offset, count),
                     gradients.subspan(piece.offset, count), std::vector<float>(count),
                     std::vector<float>(count)});
  }
}

float HostOptimizer::squares() const {
  double sum = 0;
  for (const auto& piece : part_) {
    for (const float value : gradients_.subspan(piece.offset, piece.flat.count())) {
      sum += static_cast<double>(value) * static_cast<double>(value);
    }
  }
  return static_cast<float>(sum);
}

void HostOptimizer::update(std::size_t bucket, const StepSettings& settings, float squares) {
  const double norm = std::sqrt(static_cast<double>(squares)) * settings.gradientScale;
  double scale = settings.gradientScale;
  if (settings.clip > 0) scale *= std::min(1.0, settings.clip / (norm + 1e-6));
  const auto step = static_cast<double>(settings.step);
  const double firstBias = 1 - std::pow(settings.beta1, step);
  const double secondBias = 1 - std::pow(settings.beta2, step);
  for (auto& kept : kept_) {
    if (kept.piece.bucket != bucket) continue;
    const double decay = kept.piece.decays ? settings.learningRate * settings.weightDecay : 0;
    for (std::size_t i = 0; i < kept.parameter.size(); ++i) {
      const double gradient = static_cast<double>(kept.gradient[i]) * scale;
      const double first = settings.beta1 * static_cast<double>(kept.firstMoment[i]) +
                           (1 - settings.beta1) * gradient;
      const double second = settings.beta2 * static_cast<double>(kept.secondMoment[i]) +
                            (1 - settings.beta2) * gradient * gradient;
      kept.firstMoment[i] = static_cast<float>(first);
      kept.secondMoment[i] = static_cast<float>(second);
      const double direction =
          first / firstBias / (std::sqrt(second / secondBias) + settings.epsilon);
      kept.parameter[i] = static_cast<float>(static_cast<double>(kept.parameter[i]) * (1 - decay) -
                                             settings.learningRate * direction);
    }
  }
}

Result<std::span<float>> HostOptimizer::valuesOf(State state, Range flat) {
  for (auto& kept : kept_) {
    const Range& has = kept.piece.flat;
    if (flat.begin < has.begin || flat.end > has.end) continue;
    std::span<float> values = kept.parameter;
    if (state == State::kFirstMoment) values = kept.firstMoment;
    if (state == State::kSecondMoment) values = kept.secondMoment;
    return values.subspan(flat.begin - has.begin, flat.count());
  }
  return Error(ErrorCode::kInternal,
               "element " + std::to_string(flat.begin) + " is not kept by this rank");
}

Result<void> HostOptimizer::read(State state, Range flat, std::span<float> out) {
  RAILHEAD_TRY_ASSIGN(const auto values, valuesOf(state, flat));
  std::copy_n(values.begin(), out.size(), out.begin());
  return {};
}

Result<void> HostOptimizer::write(State state, Range flat, std::span<const float> in) {
  RAILHEAD_TRY_ASSIGN(const auto values, valuesOf(state, flat));
  std::copy_n(in.begin(), in.size(), values.begin());
  return {};
}

}  // namespace railhead::trainer

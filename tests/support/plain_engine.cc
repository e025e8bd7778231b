#include "tests/support/plain_engine.h"

#include <algorithm>
#include <cmath>

namespace railhead::testing_support {

using namespace trainer;

PlainEngine::PlainEngine(const ModelShape& shape, std::uint64_t bucketElements, int rank, int ranks,
                         bool sharded, Device device)
    : plan_(FlatPlan::make(shape, bucketElements, ranks)), rank_(rank), device_(std::move(device)) {
  weights_ = place(plan_.paddedElements());
  gradients_ = place(plan_.paddedElements());
  sums_ = place(kSums);
  pieces_ = sharded ? plan_.piecesOf(rank) : plan_.allPieces();
  for (const auto& piece : pieces_) {
    first_.emplace_back(piece.flat.count());
    second_.emplace_back(piece.flat.count());
  }
}

std::span<float> PlainEngine::place(std::size_t floats) {
  if (device_.allocate) {
    float* memory = device_.allocate(floats);
    std::fill_n(memory, floats, 0.0F);
    return {memory, floats};
  }
  owned_.push_back(std::make_unique<std::vector<float>>(floats));
  return *owned_.back();
}

void PlainEngine::start(std::function<void()> work) {
  if (device_.start) {
    device_.start(std::move(work));
  } else {
    work();
  }
}

void PlainEngine::settle() {
  if (device_.settle) device_.settle();
}

Result<void> PlainEngine::pass(const Batch& batch, PassPlace place, const BucketReady& ready) {
  ++passes_;
  start([this, first = place.first,
         inputs = std::vector<std::int32_t>(batch.inputs.begin(), batch.inputs.end()),
         targets = std::vector<std::int32_t>(batch.targets.begin(), batch.targets.end())] {
    computePass(inputs, targets, first);
  });
  if (!place.last) return {};
  for (std::size_t bucket = 0; bucket < plan_.buckets().size(); ++bucket) {
    RAILHEAD_TRY(ready(bucket));
  }
  return {};
}

Result<void> PlainEngine::sumUp(float stop) {
  start([this, stop] { computeSums(stop); });
  return {};
}

Result<void> PlainEngine::update(std::size_t bucket, const StepSettings& settings) {
  start([this, bucket, settings] { computeUpdate(bucket, settings); });
  return {};
}

void PlainEngine::computePass(const std::vector<std::int32_t>& inputs,
                              const std::vector<std::int32_t>& targets, bool first) {
  if (first) {
    std::fill(gradients_.begin(), gradients_.end(), 0.0F);
    loss_ = 0;
  }
  const auto count = static_cast<float>(inputs.size());
  float loss = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    // A place in the flat space, and where that lies in the padded buffers.
    const auto key = static_cast<std::uint64_t>(inputs[i]) * 2654435761U % plan_.elements();
    for (const auto& bucket : plan_.buckets()) {
      if (key < bucket.flat.begin || key >= bucket.flat.end) continue;
      const auto at = bucket.offset + key - bucket.flat.begin;
      const float error = weights_[at] - static_cast<float>(targets[i]) / 256;
      loss += error * error / count;
      gradients_[at] += 2 * error / count;
    }
  }
  loss_ += loss;
}

void PlainEngine::computeSums(float stop) {
  float squares = 0;
  for (const auto& piece : plan_.piecesOf(rank_)) {
    for (std::uint64_t i = 0; i < piece.flat.count(); ++i) {
      squares += gradients_[piece.offset + i] * gradients_[piece.offset + i];
    }
  }
  sums_[kSquares] = squares;
  sums_[kLoss] = loss_;
  sums_[kStop] = stop;
}

void PlainEngine::computeUpdate(std::size_t bucket, const StepSettings& settings) {
  const double norm = std::sqrt(static_cast<double>(sums_[kSquares])) * settings.gradientScale;
  double scale = settings.gradientScale;
  if (settings.clip > 0) scale *= std::min(1.0, settings.clip / (norm + 1e-6));
  const auto step = static_cast<double>(settings.step);
  for (std::size_t index = 0; index < pieces_.size(); ++index) {
    const Piece& piece = pieces_[index];
    if (piece.bucket != bucket) continue;
    for (std::uint64_t i = 0; i < piece.flat.count(); ++i) {
      const double gradient = gradients_[piece.offset + i] * scale;
      const double first = settings.beta1 * first_[index][i] + (1 - settings.beta1) * gradient;
      const double second =
          settings.beta2 * second_[index][i] + (1 - settings.beta2) * gradient * gradient;
      first_[index][i] = static_cast<float>(first);
      second_[index][i] = static_cast<float>(second);
      const double direction =
          first / (1 - std::pow(settings.beta1, step)) /
          (std::sqrt(second / (1 - std::pow(settings.beta2, step))) + settings.epsilon);
      double value = weights_[piece.offset + i];
      if (piece.decays) value *= 1 - settings.learningRate * settings.weightDecay;
      weights_[piece.offset + i] = static_cast<float>(value - settings.learningRate * direction);
    }
  }
}

Result<StepOutcome> PlainEngine::outcome() {
  settle();
  StepOutcome out;
  std::copy(sums_.begin(), sums_.end(), std::begin(out.sums));
  return out;
}

Result<std::size_t> PlainEngine::pieceOf(Range flat) const {
  for (std::size_t index = 0; index < pieces_.size(); ++index) {
    if (flat.begin >= pieces_[index].flat.begin && flat.end <= pieces_[index].flat.end) {
      return index;
    }
  }
  return Error(ErrorCode::kInternal, "not kept here");
}

float& PlainEngine::stateAt(State state, std::size_t piece, std::uint64_t inside) {
  switch (state) {
    case State::kParameter:
      break;
    case State::kFirstMoment:
      return first_[piece][inside];
    case State::kSecondMoment:
      return second_[piece][inside];
  }
  return weights_[pieces_[piece].offset + inside];
}

Result<void> PlainEngine::readState(State state, Range flat, std::span<float> out) {
  settle();
  RAILHEAD_TRY_ASSIGN(const auto piece, pieceOf(flat));
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = stateAt(state, piece, flat.begin - pieces_[piece].flat.begin + i);
  }
  return {};
}

Result<void> PlainEngine::writeState(State state, Range flat, std::span<const float> in) {
  settle();
  RAILHEAD_TRY_ASSIGN(const auto piece, pieceOf(flat));
  for (std::size_t i = 0; i < in.size(); ++i) {
    stateAt(state, piece, flat.begin - pieces_[piece].flat.begin + i) = in[i];
  }
  return {};
}

std::vector<float> PlainEngine::flatWeights() {
  settle();
  std::vector<float> out(plan_.elements());
  for (const auto& bucket : plan_.buckets()) {
    std::copy_n(weights_.begin() + static_cast<std::ptrdiff_t>(bucket.offset), bucket.flat.count(),
                out.begin() + static_cast<std::ptrdiff_t>(bucket.flat.begin));
  }
  return out;
}

}  // namespace railhead::testing_support

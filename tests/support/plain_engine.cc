#include "tests/support/plain_engine.h"

#include <algorithm>
#include <cmath>

namespace railhead::testing_support {

using namespace trainer;

PlainEngine::PlainEngine(const ModelShape& shape, std::uint64_t bucketElements, int rank, int ranks,
                         bool sharded, Device device)
    : plan_(FlatPlan::make(shape, bucketElements, ranks)), device_(std::move(device)) {
  weights_ = place(plan_.paddedElements());
  gradients_ = place(plan_.paddedElements());
  sums_ = place(kSums);
  optimizer_.emplace(plan_, rank, sharded, weights_, gradients_);
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
  start([this, stop] {
    sums_[kSquares] = optimizer_->squares();
    sums_[kLoss] = loss_;
    sums_[kStop] = stop;
  });
  return {};
}

Result<void> PlainEngine::update(std::size_t bucket, const StepSettings& settings) {
  start([this, bucket, settings] { optimizer_->update(bucket, settings, sums_[kSquares]); });
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

Result<StepOutcome> PlainEngine::outcome() {
  settle();
  StepOutcome out;
  std::copy(sums_.begin(), sums_.end(), std::begin(out.sums));
  return out;
}

Result<void> PlainEngine::readState(State state, Range flat, std::span<float> out) {
  settle();
  return optimizer_->read(state, flat, out);
}

Result<void> PlainEngine::writeState(State state, Range flat, std::span<const float> in) {
  settle();
  return optimizer_->write(state, flat, in);
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

#include "src/trainer/loops/loop_engine.h"

#include "src/trainer/host_optimizer.h"
#include "src/trainer/loops/gpt2_passes.h"

#include <algorithm>
#include <vector>

namespace railhead::trainer {
namespace {

class LoopEngine final : public Engine {
 public:
  explicit LoopEngine(const LoopSettings& settings)
      : plan_(FlatPlan::make(settings.shape,
                             std::max<std::uint64_t>(settings.bucketBytes / sizeof(float), 1),
                             settings.ranks)),
        weights_(plan_.paddedElements()),
        gradients_(plan_.paddedElements()),
        passes_(settings.shape, plan_, weights_, gradients_),
        optimizer_(plan_, settings.rank, settings.sharded, weights_, gradients_),
        vocabulary_(settings.shape.vocabulary) {}

  std::string description() const override { return "cpu, 1 thread, float32, loops"; }
  const FlatPlan& plan() const override { return plan_; }
  collective::ElementType type() const override { return collective::ElementType::kFloat32; }
  std::byte* weights() override { return reinterpret_cast<std::byte*>(weights_.data()); }
  std::byte* gradients() override { return reinterpret_cast<std::byte*>(gradients_.data()); }
  float* sums() override { return sums_; }

  Result<void> pass(const Batch& batch, PassPlace place, const BucketReady& ready) override {
    RAILHEAD_TRY(checkTokens(batch));
    if (place.first) {
      std::fill(gradients_.begin(), gradients_.end(), 0.0F);
      loss_ = 0;
    }
    std::size_t next = 0;
    const auto& buckets = plan_.buckets();
    RAILHEAD_TRY_ASSIGN(
        const float loss, passes_.run(batch, [&](std::size_t parameter) -> Result<void> {
          while (next < buckets.size() && buckets[next].firstParameter >= parameter) {
            const std::size_t whole = next++;
            if (place.last) RAILHEAD_TRY(ready(whole));
          }
          return {};
        }));
    loss_ += loss;
    return {};
  }

  Result<void> sumUp(float stop) override {
    sums_[kSquares] = optimizer_.squares();
    sums_[kLoss] = loss_;
    sums_[kStop] = stop;
    return {};
  }
  Result<void> update(std::size_t bucket, const StepSettings& settings) override {
    optimizer_.update(bucket, settings, sums_[kSquares]);
    return {};
  }
  Result<StepOutcome> outcome() override {
    StepOutcome out;
    std::copy(std::begin(sums_), std::end(sums_), std::begin(out.sums));
    return out;
  }

  std::span<const Piece> pieces() const override { return optimizer_.pieces(); }
  Result<void> readState(State state, Range flat, std::span<float> out) override {
    return optimizer_.read(state, flat, out);
  }
  Result<void> writeState(State state, Range flat, std::span<const float> in) override {
    return optimizer_.write(state, flat, in);
  }
  Result<void> publish() override { return {}; }  // its weights are its parameters

 private:
  Result<void> checkTokens(const Batch& batch) const {
    for (const auto& tokens : {batch.inputs, batch.targets}) {
      for (const std::int32_t token : tokens) {
        if (token >= 0 && static_cast<std::uint64_t>(token) < vocabulary_) continue;
        return Error(ErrorCode::kInvalidArgument,
                     "token " + std::to_string(token) + " is outside the model's vocabulary of " +
                         std::to_string(vocabulary_));
      }
    }
    return {};
  }

  FlatPlan plan_;
  std::vector<float> weights_, gradients_;
  loops::Gpt2Passes passes_;
  HostOptimizer optimizer_;
  std::uint64_t vocabulary_;
  float sums_[kSums] = {};
  float loss_ = 0;
};

}  // namespace

Result<std::unique_ptr<Engine>> openLoopEngine(const LoopSettings& settings) {
  RAILHEAD_TRY(checkShape(settings.shape));
  return std::unique_ptr<Engine>(std::make_unique<LoopEngine>(settings));
}

}  // namespace railhead::trainer

// An engine for tests of training: float32, computed here in plain loops. Each parameter element is
// drawn towards the tokens that fall on it, so that the loss falls. Its work is done before a call
// returns, or where a test says: on a stream.
#pragma once

#include "src/trainer/engine.h"
#include "src/trainer/host_optimizer.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace railhead::testing_support {

class PlainEngine final : public trainer::Engine {
 public:
  // Where its memory is and its work is done; empty: vectors, at once.
  struct Device {
    std::function<float*(std::size_t floats)> allocate;  // kept for as long as the engine
    std::function<void(std::function<void()> work)> start;
    std::function<void()> settle;  // until all work is done
  };

  PlainEngine(const trainer::ModelShape& shape, std::uint64_t bucketElements, int rank, int ranks,
              bool sharded, Device device = {});

  std::string description() const override { return "plain"; }
  const trainer::FlatPlan& plan() const override { return plan_; }
  collective::ElementType type() const override { return collective::ElementType::kFloat32; }
  std::byte* weights() override { return reinterpret_cast<std::byte*>(weights_.data()); }
  std::byte* gradients() override { return reinterpret_cast<std::byte*>(gradients_.data()); }
  float* sums() override { return sums_.data(); }
  Result<void> pass(const trainer::Batch& batch, trainer::PassPlace place,
                    const trainer::BucketReady& ready) override;
  Result<void> sumUp(float stop) override;
  Result<void> update(std::size_t bucket, const trainer::StepSettings& settings) override;
  Result<trainer::StepOutcome> outcome() override;
  std::span<const trainer::Piece> pieces() const override { return optimizer_->pieces(); }
  Result<void> readState(trainer::State state, trainer::Range flat, std::span<float> out) override;
  Result<void> writeState(trainer::State state, trainer::Range flat,
                          std::span<const float> in) override;
  Result<void> publish() override { return {}; }  // its weights are its parameters

  // Every weight, in the order of the flat space.
  std::vector<float> flatWeights();
  std::size_t passes() const { return passes_; }

 private:
  std::span<float> place(std::size_t floats);
  void start(std::function<void()> work);
  void settle();
  void computePass(const std::vector<std::int32_t>& inputs,
                   const std::vector<std::int32_t>& targets, bool first);

  trainer::FlatPlan plan_;
  Device device_;
  std::vector<std::unique_ptr<std::vector<float>>> owned_;
  std::span<float> weights_, gradients_, sums_;
  std::optional<trainer::HostOptimizer> optimizer_;
  float loss_ = 0;
  std::size_t passes_ = 0;
};

}  // namespace railhead::testing_support

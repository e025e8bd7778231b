// AdamW (I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019) in float32 over
// the pieces that one rank keeps, for engines whose buffers lie in the host's memory. The weights
// are the parameters. Used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/trainer/engine.h"

#include <cstddef>
#include <span>
#include <vector>

namespace railhead::trainer {

class HostOptimizer {
 public:
  // The buffers are padded as the plan says; they and the plan outlive it. Moments begin at 0.
  HostOptimizer(const FlatPlan& plan, int rank, bool sharded, std::span<float> weights,
                std::span<float> gradients);

  std::span<const Piece> pieces() const { return pieces_; }
  // Of the squares of this rank's own part of the gradients.
  float squares() const;
  // `squares`: the ranks' added up.
  void update(std::size_t bucket, const StepSettings& settings, float squares);
  // As Engine::readState and writeState.
  Result<void> read(State state, Range flat, std::span<float> out);
  Result<void> write(State state, Range flat, std::span<const float> in);

 private:
  struct Kept {
    Piece piece;
    std::span<float> parameter, gradient;
    std::vector<float> firstMoment, secondMoment;
  };
  Result<std::span<float>> valuesOf(State state, Range flat);

  std::vector<Piece> pieces_;
  std::vector<Piece> part_;  // the rank's own, also when it keeps everything
  std::span<float> gradients_;
  std::vector<Kept> kept_;
};

}  // namespace railhead::trainer

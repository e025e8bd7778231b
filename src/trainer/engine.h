// The seam between training and what computes: a model's weights, gradients and optimizer state,
// and the passes over them. Real: src/trainer/torch; tests: a small model in plain numbers.
//
// Work may be asynchronous (a GPU's stream): what is asked for later comes after what was asked
// before, and only outcome() and the state calls wait. Used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/collective/call.h"
#include "src/trainer/flat_plan.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace railhead::trainer {

// Sequences of equal length behind each other; targets are the tokens that follow.
struct Batch {
  std::span<const std::int32_t> inputs;
  std::span<const std::int32_t> targets;
  std::size_t sequences = 0;
};

// A step's gradients are the sum over its passes.
struct PassPlace {
  bool first = true;
  bool last = true;
};

// Told in the last pass, from the thread that called pass() or one of the engine's, that a bucket's
// gradients will be whole once the work asked for so far is done. Buckets come in order.
using BucketReady = std::function<Result<void>(std::size_t bucket)>;

// What ranks add up between the gradients and the update, in float32.
enum Sum : std::size_t { kSquares, kLoss, kStop, kSums };

struct StepSettings {
  std::uint64_t step = 1;  // from 1: of AdamW's bias correction
  double learningRate = 0;
  double weightDecay = 0;
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double gradientScale = 1;  // of the summed gradients, to make their mean
  double clip = 0;           // the largest norm of the mean gradient; 0: none
};

struct StepOutcome {
  double sums[kSums] = {};  // as the ranks added them up
};

enum class State { kParameter, kFirstMoment, kSecondMoment };
inline constexpr State kStates[] = {State::kParameter, State::kFirstMoment, State::kSecondMoment};

class Engine {
 public:
  virtual ~Engine() = default;
  // What it runs on: "cpu, 2 threads, LibTorch 1.13.1".
  virtual std::string description() const = 0;

  virtual const FlatPlan& plan() const = 0;
  // Of weights and gradients: buffers of plan().paddedElements() elements.
  virtual collective::ElementType type() const = 0;
  virtual std::byte* weights() = 0;
  virtual std::byte* gradients() = 0;
  virtual float* sums() = 0;  // kSums of them, beside the buffers

  virtual Result<void> pass(const Batch& batch, PassPlace place, const BucketReady& ready) = 0;
  // Puts this rank's sums there: of the squares of its own part of the gradients (FlatPlan's, also
  // when it keeps everything), of the passes' losses, and `stop`.
  virtual Result<void> sumUp(float stop) = 0;
  // AdamW over this rank's pieces of a bucket, from its gradients and from sums().
  virtual Result<void> update(std::size_t bucket, const StepSettings& settings) = 0;
  virtual Result<StepOutcome> outcome() = 0;

  // The pieces that it keeps the state of.
  virtual std::span<const Piece> pieces() const = 0;
  // `flat` lies inside one of them; as many values.
  virtual Result<void> readState(State state, Range flat, std::span<float> out) = 0;
  virtual Result<void> writeState(State state, Range flat, std::span<const float> in) = 0;
  // Puts the pieces' parameters, as they were written, into the weights.
  virtual Result<void> publish() = 0;
};

}  // namespace railhead::trainer

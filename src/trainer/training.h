// The training loop: one rank's steps from the data order through the passes, the exchange and the
// update, to metrics and checkpoints. Knows no LibTorch, no files but checkpoints.
//
// All ranks go through the same steps and stop after the same one, also when only one of them was
// asked to.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/record.h"
#include "src/os/clock.h"
#include "src/os/filesystem.h"
#include "src/trainer/corpus.h"
#include "src/trainer/engine.h"
#include "src/trainer/exchange.h"
#include "src/trainer/metrics.h"
#include "src/trainer/schedule.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace railhead::trainer {

struct TrainingSettings {
  ModelShape shape;
  Schedule schedule;                 // its `steps` is where the run ends
  std::uint64_t samplesPerStep = 8;  // over all ranks
  std::uint64_t samplesPerPass = 8;  // of one rank
  double weightDecay = 0.1, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, clip = 1;
  std::uint64_t seed = 1;
  bool sharded = true;                 // the optimizer's state, over the ranks
  std::string checkpoints;             // folder; empty: none
  std::uint64_t checkpointEvery = 0;   // steps; 0: at the end alone
  std::size_t keep = 2;                // checkpoints; 0: all
  bool resumeAnyway = false;           // with another seed, other data or batches than before
  std::chrono::seconds patience{600};  // for the other ranks, in each step
};

// kInvalidArgument names what does not fit: batches and ranks.
Result<void> checkTraining(const TrainingSettings& settings, int ranks);

// Gives this rank's text to all ranks and returns everybody's, in order (Group::gather).
using Gather = std::function<Result<std::vector<std::string>>(const std::string& own)>;

// What training works with; all outlive it.
struct TrainingParts {
  Engine& engine;
  Exchange& exchange;
  const Corpus& corpus;
  os::Filesystem& files;
  os::Clock& clock;
  Gather gather;
  std::function<bool()> stopAsked;  // checked once a step
  std::function<Result<void>(const StepMetrics&)> onStep;
  std::function<Result<void>(std::uint64_t, const std::string&)> onCheckpoint;
};

struct TrainingResult {
  std::uint64_t step = 0;      // the last one done
  std::optional<double> loss;  // of that step; absent: no step was left to do
  bool stopped = false;        // asked to, before the end
  std::string checkpoint;      // the last one written; empty: none
};

struct ResumePoint {
  std::string path;
  checkpoint::Checkpoint checkpoint;
};

// From the engine's state, or that of `resume`, to the last step. kInvalidArgument: the checkpoint
// is of another model, or of another run (TrainingSettings::resumeAnyway).
Result<TrainingResult> train(const TrainingSettings& settings, const TrainingParts& parts,
                             const std::optional<ResumePoint>& resume);

// Fresh values of every piece that the engine keeps (InitialValues).
Result<void> initialise(Engine& engine, std::uint64_t seed);

}  // namespace railhead::trainer

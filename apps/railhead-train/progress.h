// What a run tells while it goes: lines for a person or JSON lines from rank 0, metrics of every
// rank into its file.
#pragma once

#include "apps/railhead-train/options.h"
#include "src/trainer/metrics.h"
#include "src/trainer/training.h"

#include <optional>

namespace railhead::trainer_app {

class Progress {
 public:
  static Result<Progress> open(const Options& options, int rank);

  Result<void> begin(const trainer::TrainingSettings& settings, const trainer::Engine& engine,
                     const trainer::Exchange& exchange, const trainer::Corpus& corpus,
                     const std::optional<trainer::ResumePoint>& resume);
  // Before begin(): not to the checkpoint that was asked for, but to the one of `step`.
  Result<void> wentBack(std::uint64_t step);
  Result<void> step(const trainer::StepMetrics& metrics);
  Result<void> checkpoint(std::uint64_t step, const std::string& path);
  void end(const trainer::TrainingResult& result);

 private:
  Progress(bool speaks, bool json, std::uint64_t every, std::uint64_t steps)
      : speaks_(speaks), json_(json), every_(every), steps_(steps) {}

  bool speaks_;  // rank 0
  bool json_;
  std::uint64_t every_;
  std::uint64_t steps_;
  std::optional<trainer::MetricsFile> file_;
};

}  // namespace railhead::trainer_app

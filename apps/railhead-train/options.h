// What railhead-train is asked for: flags, and where those are not given, what a launcher says in
// the environment (docs/reference/trainer-contract.md).
#pragma once

#include "src/base/result.h"
#include "src/collective/world.h"
#include "src/trainer/training.h"

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace railhead::trainer_app {

struct Options {
  std::string model = "tiny";
  std::uint64_t layers = 0, heads = 0, width = 0, context = 0, vocabulary = 0;  // 0: the model's
  std::vector<std::string> data;
  std::string tokens = "bytes";
  std::uint64_t steps = 100;
  std::uint64_t batch = 8;
  std::uint64_t microBatch = 0;  // 0: all of a rank's sequences at once
  double learningRate = 6e-4;
  double floorShare = 0.1;
  std::uint64_t warmup = 10;
  double weightDecay = 0.1, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, clip = 1;
  std::uint64_t seed = 1;
  std::string type = "fp32";
  std::string engine = "auto";
  std::string device = "auto";
  int threads = 0;
  bool deterministic = false;
  std::string shard = "zero1";
  std::uint64_t bucketBytes = 25 << 20;
  std::string transport = "auto";  // of the host backend
  std::vector<std::string> rails;
  std::string ncclLibrary;       // empty: as the loader finds it
  double timeout = 60;           // seconds for the ranks to find each other
  std::uint64_t patience = 600;  // seconds for each other in a step
  std::string checkpoints;
  std::uint64_t checkpointEvery = 0;
  std::uint64_t keep = 2;
  std::string resume;
  bool resumeNamed = false;  // by a launcher (RAILHEAD_RESUME), which may not know what is whole
  bool resumeAnyway = false;
  std::string metrics;
  std::uint64_t reportEvery = 1;
  bool json = false;
};

void addOptions(CLI::App& app, Options& options);

// RAILHEAD_STEPS, RAILHEAD_SEED, RAILHEAD_CHECKPOINT_DIR, RAILHEAD_RESUME, RAILHEAD_METRICS_FILE
// for what no flag said. kInvalidArgument: what is no number.
Result<void> takeEnvironment(const CLI::App& app, const collective::EnvironmentLookup& environment,
                             Options& options);

Result<trainer::ModelShape> shapeOf(const Options& options);
Result<trainer::TrainingSettings> trainingOf(const Options& options, int ranks);

}  // namespace railhead::trainer_app

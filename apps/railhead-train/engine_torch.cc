// Of a build with LibTorch.
#include "apps/railhead-train/engines.h"
#include "src/trainer/torch/torch_engine.h"

#include <algorithm>

namespace railhead::trainer_app {

bool hasTorch() { return true; }

int torchDevices() { return trainer::torchCudaDevices(); }

Result<std::unique_ptr<trainer::Engine>> openTorch(const Options& options,
                                                   const trainer::ModelShape& shape,
                                                   const collective::World& world, bool cuda) {
  trainer::TorchSettings settings;
  settings.shape = shape;
  settings.rank = world.rank;
  settings.ranks = world.ranks;
  settings.sharded = options.shard == "zero1";
  settings.bucketBytes = options.bucketBytes;
  settings.bfloat16 = options.type == "bf16";
  settings.cuda = cuda;
  // As the NCCL backend takes them: round and round.
  if (cuda) settings.device = world.localRank % std::max(torchDevices(), 1);
  settings.threads = options.threads;
  settings.deterministic = options.deterministic;
  return trainer::openTorchEngine(settings);
}

}  // namespace railhead::trainer_app

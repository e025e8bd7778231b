#include "apps/railhead-train/engines.h"

#include "src/trainer/loops/loop_engine.h"

namespace railhead::trainer_app {
namespace {

Error loopsCannot(const std::string& option) {
  return Error(ErrorCode::kUnsupported,
               option + ": the engine 'loops' computes in float32 on a CPU" +
                   (hasTorch() ? "" : ", and this build has no other"),
               hasTorch() ? "take --engine torch"
                          : "take a railhead-train built with LibTorch (./dev build trainer)");
}

}  // namespace

std::string engineName(const Options& options) {
  if (options.engine != "auto") return options.engine;
  return hasTorch() ? "torch" : "loops";
}

Result<bool> takesCuda(const Options& options) {
  if (engineName(options) == "torch") {
    if (!hasTorch()) {
      return Error(ErrorCode::kUnsupported, "--engine torch: this build has no LibTorch",
                   "take --engine loops, or a railhead-train built with LibTorch (./dev build "
                   "trainer)");
    }
    return options.device == "cuda" || (options.device == "auto" && torchDevices() > 0);
  }
  if (options.device == "cuda") return loopsCannot("--device cuda");
  if (options.type != "fp32") return loopsCannot("--type " + options.type);
  if (options.threads > 1) return loopsCannot("--threads " + std::to_string(options.threads));
  return false;
}

Result<std::unique_ptr<trainer::Engine>> openEngine(const Options& options,
                                                    const trainer::ModelShape& shape,
                                                    const collective::World& world, bool cuda) {
  if (engineName(options) == "torch") return openTorch(options, shape, world, cuda);
  trainer::LoopSettings settings;
  settings.shape = shape;
  settings.rank = world.rank;
  settings.ranks = world.ranks;
  settings.sharded = options.shard == "zero1";
  settings.bucketBytes = options.bucketBytes;
  return trainer::openLoopEngine(settings);
}

}  // namespace railhead::trainer_app

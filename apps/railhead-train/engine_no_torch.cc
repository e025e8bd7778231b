// Of a build without LibTorch.
#include "apps/railhead-train/engines.h"

namespace railhead::trainer_app {

bool hasTorch() { return false; }

int torchDevices() { return 0; }

Result<std::unique_ptr<trainer::Engine>> openTorch(const Options&, const trainer::ModelShape&,
                                                   const collective::World&, bool) {
  return Error(ErrorCode::kUnsupported, "this build has no LibTorch");
}

}  // namespace railhead::trainer_app

// Of a build without Gloo (standalone/CMakeLists.txt).
#include "apps/railhead-train/rank_link.h"

namespace railhead::trainer_app {

Result<std::unique_ptr<collective::Communicator>> connectHost(const collective::World&,
                                                              const LinkOptions&, os::Filesystem&,
                                                              RankLink&) {
  return Error(ErrorCode::kUnsupported, "several ranks on CPUs: this build has no Gloo",
               "take --device cuda, one rank, or a railhead-train built with the whole tree");
}

}  // namespace railhead::trainer_app

#include "src/kube/rpc/library.h"

#include <grpc/grpc.h>

namespace railhead::kube::rpc {

void holdLibrary() {
  [[maybe_unused]] static const bool held = [] {
    grpc_init();
    return true;
  }();
}

}  // namespace railhead::kube::rpc

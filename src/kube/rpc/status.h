// Inside src/kube, lab/kubelet and lab/cri only: the one table between our error classes and
// gRPC's.
#pragma once

#include "src/base/error.h"

#include <string_view>

#include <grpcpp/support/status.h>

namespace railhead::kube::rpc {

grpc::Status toStatus(const Error& error);
// `what` names the call: "List pod resources at /x/kubelet.sock". `status` must not be OK.
Error fromStatus(const grpc::Status& status, std::string_view what);

}  // namespace railhead::kube::rpc

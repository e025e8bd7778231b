// Inside src/kube, lab/kubelet and lab/cri only: a gRPC channel over one connected unix socket.
//
// We connect ourselves and hand the descriptor over, so an absent peer is an errno at once and not
// a channel that retries in the background; the channel dies with its connection and is made anew.
#pragma once

#include "src/base/result.h"
#include "src/os/unix_socket.h"

#include <memory>
#include <string>

#include <grpcpp/channel.h>

namespace railhead::kube::rpc {

// Largest message either side takes: kubelet's own limit for pod-resources.
inline constexpr int kMaxAnswer = 16 << 20;

// kNotFound: no socket there; kUnavailable: nobody listens.
Result<std::shared_ptr<grpc::Channel>> connectChannel(const std::string& socketPath,
                                                      os::Deadline deadline,
                                                      int maxAnswer = kMaxAnswer);

// gRPC contexts want the wall clock.
std::chrono::system_clock::time_point toWallClock(os::Deadline deadline);

}  // namespace railhead::kube::rpc

#include "src/kube/rpc/channel.h"

#include "src/kube/rpc/library.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/support/channel_arguments.h>

namespace railhead::kube::rpc {

Result<std::shared_ptr<grpc::Channel>> connectChannel(const std::string& socketPath,
                                                      os::Deadline deadline, int maxAnswer) {
  RAILHEAD_TRY_ASSIGN(os::UniqueFd fd, os::connectUnix(socketPath, deadline));
  holdLibrary();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(maxAnswer);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  // On a unix socket a window that grows to megabytes gains nothing and hoards unread messages.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return grpc::CreateCustomInsecureChannelFromFd("unix:" + socketPath, fd.release(), arguments);
}

std::chrono::system_clock::time_point toWallClock(os::Deadline deadline) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(
             deadline - std::chrono::steady_clock::now());
}

}  // namespace railhead::kube::rpc

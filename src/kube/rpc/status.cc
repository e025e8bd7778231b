#include "src/kube/rpc/status.h"

#include <string>

namespace railhead::kube::rpc {
namespace {

struct Pair {
  ErrorCode ours;
  grpc::StatusCode theirs;
};

// Read from the top both ways, so the first line with a code wins.
constexpr Pair kTable[] = {
    {ErrorCode::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT},
    {ErrorCode::kNotFound, grpc::StatusCode::NOT_FOUND},
    {ErrorCode::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS},
    {ErrorCode::kBusy, grpc::StatusCode::ABORTED},
    {ErrorCode::kPermissionDenied, grpc::StatusCode::PERMISSION_DENIED},
    {ErrorCode::kUnavailable, grpc::StatusCode::UNAVAILABLE},
    {ErrorCode::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED},
    {ErrorCode::kUnsupported, grpc::StatusCode::UNIMPLEMENTED},
    {ErrorCode::kExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED},
    {ErrorCode::kCorrupt, grpc::StatusCode::DATA_LOSS},
    {ErrorCode::kCheckFailed, grpc::StatusCode::FAILED_PRECONDITION},
    {ErrorCode::kEnvironment, grpc::StatusCode::FAILED_PRECONDITION},
    // A Go server answers UNKNOWN for every error it gave no class: kubelet does so for refusals.
    {ErrorCode::kIo, grpc::StatusCode::UNKNOWN},
    {ErrorCode::kInternal, grpc::StatusCode::INTERNAL},
    {ErrorCode::kUnavailable, grpc::StatusCode::CANCELLED},
    {ErrorCode::kInvalidArgument, grpc::StatusCode::OUT_OF_RANGE},
    {ErrorCode::kPermissionDenied, grpc::StatusCode::UNAUTHENTICATED},
};

// A status travels in HTTP/2 trailers, whose size peers limit to some KiB.
constexpr std::size_t kMaxMessage = 2048;

}  // namespace

grpc::Status toStatus(const Error& error) {
  auto code = grpc::StatusCode::INTERNAL;
  for (const Pair& pair : kTable) {
    if (pair.ours == error.code) {
      code = pair.theirs;
      break;
    }
  }
  return {code, error.describe().substr(0, kMaxMessage)};
}

Error fromStatus(const grpc::Status& status, std::string_view what) {
  auto code = ErrorCode::kInternal;
  for (const Pair& pair : kTable) {
    if (pair.theirs == status.error_code()) {
      code = pair.ours;
      break;
    }
  }
  const std::string said = status.error_message().substr(0, kMaxMessage);
  return {code, std::string(what) + ": " +
                    (said.empty() ? "gRPC status " + std::to_string(status.error_code()) : said)};
}

}  // namespace railhead::kube::rpc

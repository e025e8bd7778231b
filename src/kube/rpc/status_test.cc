#include "src/kube/rpc/status.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube::rpc {
namespace {

TEST(Status, EveryClassOfErrorHasOneOfGrpc) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kInternal); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    const grpc::Status status = toStatus(Error(code, "no", "do this"));
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.error_message(),
                testing::AllOf(testing::HasSubstr("no"), testing::HasSubstr("do this")));
    // Two classes share one of gRPC's; all others come back as they were.
    const ErrorCode expected = code == ErrorCode::kEnvironment ? ErrorCode::kCheckFailed : code;
    EXPECT_EQ(fromStatus(status, "call").code, expected) << errorCodeName(code);
  }
}

TEST(Status, EveryClassOfGrpcHasOneOfOurs) {
  for (int i = 1; i <= 16; ++i) {
    const grpc::Status status(static_cast<grpc::StatusCode>(i), "");
    const Error error = fromStatus(status, "call");
    if (i != grpc::StatusCode::INTERNAL) {
      EXPECT_NE(error.code, ErrorCode::kInternal) << i;
    }
    EXPECT_EQ(error.message, "call: gRPC status " + std::to_string(i));
  }
}

TEST(Status, MessagesAreBounded) {
  const std::string endless(100000, 'x');
  EXPECT_LE(toStatus(Error(ErrorCode::kIo, endless)).error_message().size(), 2048U);
  EXPECT_LE(fromStatus({grpc::StatusCode::UNKNOWN, endless}, "call").message.size(), 2100U);
}

}  // namespace
}  // namespace railhead::kube::rpc

#include "src/base/result.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace railhead {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return Error(ErrorCode::kInvalidArgument, "odd");
  return value / 2;
}

Result<std::unique_ptr<int>> quarter(int value) {
  RAILHEAD_TRY_ASSIGN(const int first, half(value));
  RAILHEAD_TRY_ASSIGN(const int second, half(first));
  return std::make_unique<int>(second);
}

Result<void> checkEven(int value) {
  RAILHEAD_TRY(half(value));
  return {};
}

TEST(Result, PropagatesValuesAndErrors) {
  EXPECT_EQ(**quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_TRUE(checkEven(2).has_value());
  EXPECT_EQ(checkEven(3).error().code, ErrorCode::kInvalidArgument);
}

TEST(Result, AddsContextOnTheWayUp) {
  auto result = half(3).addContext("halve 3").addContext("attach net1");
  EXPECT_EQ(result.error().message, "attach net1: halve 3: odd");
  EXPECT_EQ(*half(4).addContext("unused"), 2);
}

TEST(Error, ClassesAnErrnoByCause) {
  const Error busy = Error::fromErrno(EBUSY, "write '4' to sriov_numvfs");
  EXPECT_EQ(busy.code, ErrorCode::kBusy);
  EXPECT_EQ(busy.errnoValue, EBUSY);
  EXPECT_EQ(busy.message, "write '4' to sriov_numvfs: Device or resource busy");
  EXPECT_EQ(Error::fromErrno(ENOENT, "x").code, ErrorCode::kNotFound);
  EXPECT_EQ(Error::fromErrno(EPERM, "x").code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(Error::fromErrno(EIO, "x").code, ErrorCode::kIo);
}

TEST(Error, DescribesItsRemedy) {
  EXPECT_EQ(Error(ErrorCode::kIo, "a").describe(), "a");
  EXPECT_EQ(Error(ErrorCode::kIo, "a", "do b").describe(), "a (remedy: do b)");
}

TEST(Error, HasTheDocumentedExitCodes) {
  EXPECT_EQ(exitCodeFor(ErrorCode::kInvalidArgument), ExitCode::kUsage);
  EXPECT_EQ(exitCodeFor(ErrorCode::kCheckFailed), ExitCode::kCheckFailed);
  EXPECT_EQ(exitCodeFor(ErrorCode::kEnvironment), ExitCode::kEnvironment);
  EXPECT_EQ(exitCodeFor(ErrorCode::kIo), ExitCode::kFailed);
}

}  // namespace
}  // namespace railhead

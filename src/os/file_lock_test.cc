#include "src/os/file_lock.h"

#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::os {
namespace {

TEST(FileLock, HoldsOthersOffUntilItIsDropped) {
  const std::string path = testing::TempDir() + "railhead-lock-" + std::to_string(getpid());
  auto first = lockFile(path);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  const auto second = lockFile(path);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_THAT(second.error().message, testing::HasSubstr(std::to_string(getpid())));
  first->reset();
  EXPECT_TRUE(lockFile(path).has_value());
  std::remove(path.c_str());
}

TEST(FileLock, SaysWhereItCannotBeMade) {
  EXPECT_EQ(lockFile("/nonexistent/lock").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace railhead::os

#include "src/os/descriptor_passing.h"

#include <array>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::os {
namespace {

struct Pair {
  UniqueFd one, other;
  Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    one.reset(fds[0]);
    other.reset(fds[1]);
  }
};

Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(2); }

TEST(DescriptorPassing, ADuplicateKeepsAConnectionOpen) {
  const Pair channel;
  Pair connection;
  std::vector<UniqueFd> files;
  files.push_back(std::move(connection.one));
  ASSERT_TRUE(sendDescriptors(channel.one.get(), files, soon()).has_value());
  files.clear();
  auto got = receiveDescriptors(channel.other.get(), soon());
  ASSERT_TRUE(got.has_value()) << got.error().message;
  ASSERT_EQ(got->size(), 1U);
  char byte = 0;
  EXPECT_EQ(::recv(connection.other.get(), &byte, 1, MSG_DONTWAIT), -1) << "no end is seen";
  EXPECT_EQ(::send(got->front().get(), "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(::recv(connection.other.get(), &byte, 1, 0), 1);
  got->clear();
  EXPECT_EQ(::recv(connection.other.get(), &byte, 1, 0), 0);
}

TEST(DescriptorPassing, TakesNoneAndManyAndRefusesTheRest) {
  const Pair channel;
  ASSERT_TRUE(sendDescriptors(channel.one.get(), {}, soon()).has_value());
  EXPECT_TRUE(receiveDescriptors(channel.other.get(), soon())->empty());
  std::vector<UniqueFd> many;
  for (std::size_t i = 0; i < kMaxPassed; ++i) many.emplace_back(::dup(channel.one.get()));
  ASSERT_TRUE(sendDescriptors(channel.one.get(), many, soon()).has_value());
  EXPECT_EQ(receiveDescriptors(channel.other.get(), soon())->size(), kMaxPassed);
  many.emplace_back(::dup(channel.one.get()));
  EXPECT_EQ(sendDescriptors(channel.one.get(), many, soon()).error().code,
            ErrorCode::kInvalidArgument);
  ASSERT_EQ(::send(channel.one.get(), "?", 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(receiveDescriptors(channel.other.get(), soon()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(receiveDescriptors(channel.other.get(),
                               std::chrono::steady_clock::now() + std::chrono::milliseconds(20))
                .error()
                .code,
            ErrorCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace railhead::os

#include "src/os/unix_socket.h"

#include "src/os/unix_listener.h"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::os {
namespace {

Deadline in(int milliseconds) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
}

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "railhead-sock-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST_F(UnixSocketTest, CarriesFramesBothWays) {
  const std::string path = directory_ + "/s";
  const auto listener = UnixListener::open(path);
  ASSERT_TRUE(listener.has_value());
  std::thread server([&] {
    pollfd ready{listener->fd(), POLLIN, 0};
    ASSERT_EQ(poll(&ready, 1, 5000), 1);
    const UniqueFd peer = std::move(**listener->accept());
    EXPECT_EQ(peerCredentials(peer.get())->pid, getpid());
    const auto asked = receiveFrame(peer.get(), in(5000));
    ASSERT_TRUE(asked.has_value());
    EXPECT_TRUE(sendFrame(peer.get(), *asked + *asked, in(5000)).has_value());
  });
  const auto client = connectUnix(path, in(5000));
  ASSERT_TRUE(client.has_value());
  const std::string big(400000, 'r');
  ASSERT_TRUE(sendFrame(client->get(), big, in(5000)).has_value());
  EXPECT_EQ(*receiveFrame(client->get(), in(5000)), big + big);
  server.join();
}

TEST_F(UnixSocketTest, BoundsEveryWaitAndSize) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const UniqueFd a(pair[0]);
  UniqueFd b(pair[1]);
  EXPECT_EQ(receiveFrame(a.get(), in(20)).error().code, ErrorCode::kDeadlineExceeded);
  ASSERT_TRUE(sendFrame(b.get(), std::string(100, 'x'), in(1000)).has_value());
  EXPECT_EQ(receiveFrame(a.get(), in(1000), 99).error().code, ErrorCode::kCorrupt);
  b.reset();
  EXPECT_FALSE(receiveFrame(a.get(), in(1000)).has_value());
}

TEST_F(UnixSocketTest, RefusesALongPathAndReportsAMissingPeer) {
  EXPECT_EQ(connectUnix("/" + std::string(200, 'x'), in(1000)).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(connectUnix(directory_ + "/none", in(1000)).error().code, ErrorCode::kNotFound);
}

TEST_F(UnixSocketTest, TellsALivingSocketFromADeadOne) {
  const std::string path = directory_ + "/s";
  EXPECT_FALSE(isListening(path));
  auto listener = UnixListener::open(path);
  ASSERT_TRUE(listener.has_value());
  EXPECT_TRUE(isListening(path));
  std::filesystem::rename(path, directory_ + "/kept");
  listener->close();
  EXPECT_FALSE(isListening(directory_ + "/kept"));
}

}  // namespace
}  // namespace railhead::os

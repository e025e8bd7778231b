// Threads that hang are told of; those that wait are not.
#include "src/agent/observe/threads.h"

#include "src/attach/server.h"
#include "src/os/unix_socket.h"

#include <future>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace railhead::agent {
namespace {

using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

TEST(WatchedThreads, TellOfTheOneThatDoesNotComeBack) {
  WatchedThreads threads;
  const auto first = threads.named("a CNI request")();
  const auto second = threads.named("nvidia.com/x")();
  const auto now = SteadyClock::now();
  first->begin(now - seconds(60));
  EXPECT_EQ(threads.stuck(now), "");
  second->begin(now - WatchedThreads::kStuckAfter - seconds(20));
  EXPECT_EQ(threads.stuck(now), "nvidia.com/x has been under way for 200 s");
  second->end();
  EXPECT_EQ(threads.stuck(now + seconds(60)), "") << "the second waits, the first has time";
}

TEST(WatchedThreads, ForgetThoseThatEnded) {
  WatchedThreads threads;
  auto mark = threads.named("a CNI request")();
  mark->begin();
  mark.reset();
  EXPECT_EQ(threads.stuck(SteadyClock::now() + seconds(1000)), "");
}

// A request that hangs in its handler turns the agent unhealthy, and one that ends does not.
TEST(WatchedThreads, SeeARequestThatHangs) {
  WatchedThreads threads;
  std::promise<void> entered;
  std::promise<void> leave;
  attach::CniServerConfig config;
  config.socketPath = testing::TempDir() + "rh-threads-" + std::to_string(::getpid()) + ".sock";
  config.mark = threads.named("a CNI request");
  auto server = attach::CniServer::start(config, [&](const cni::Call&) {
    entered.set_value();
    leave.get_future().wait();
    return cni::Reply{0, "{}"};
  });
  ASSERT_TRUE(server.has_value()) << server.error().describe();
  const auto late = [] { return SteadyClock::now() + WatchedThreads::kStuckAfter + seconds(1); };
  EXPECT_EQ(threads.stuck(late()), "") << "idle";
  const auto deadline = SteadyClock::now() + seconds(20);
  auto peer = os::connectUnix(config.socketPath, deadline);
  ASSERT_TRUE(peer.has_value()) << peer.error().describe();
  ASSERT_TRUE(os::sendFrame(peer->get(), cni::encodeCall({"ADD", {}, "{}"}), deadline).has_value());
  entered.get_future().wait();
  EXPECT_NE(threads.stuck(late()), "");
  EXPECT_EQ(threads.stuck(SteadyClock::now()), "") << "it has time still";
  leave.set_value();
  ASSERT_TRUE(os::receiveFrame(peer->get(), deadline, cni::kMaxFrame).has_value());
  (*server)->stop();
  EXPECT_EQ(threads.stuck(late()), "");
}

}  // namespace
}  // namespace railhead::agent

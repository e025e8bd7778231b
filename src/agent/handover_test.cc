// The two sides of a handover in one process, over a real socket.
#include "src/agent/handover.h"

#include "src/os/unix_socket.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace railhead::agent {
namespace {

os::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(5); }

class HandoverTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rh-handover-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/handover.sock";
    std::array<int, 2> fds{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    kubelet_.reset(fds[0]);
    ours_.reset(fds[1]);
    serve();
  }
  void serve() {
    auto server =
        HandoverServer::start(path_, {[this] { ++released_; }, []() -> Result<void> { return {}; },
                                      [this] { return leave(); }, [this] { ++hungUp_; }});
    ASSERT_TRUE(server.has_value()) << server.error().describe();
    older_ = std::move(*server);
  }
  void TearDown() override {
    older_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::vector<KeptConnection> leave() {
    std::vector<KeptConnection> connections;
    connections.push_back({"nvidia.com/cx7_qsfp", std::move(ours_)});
    return connections;
  }
  bool kubeletSeesTheEnd() const {
    char byte = 0;
    return ::recv(kubelet_.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }

  std::string directory_;
  std::string path_;
  os::UniqueFd kubelet_;
  os::UniqueFd ours_;
  std::atomic<int> released_ = 0;
  std::atomic<int> hungUp_ = 0;
  std::unique_ptr<HandoverServer> older_;
};

TEST_F(HandoverTest, GivesKubeletsConnectionsToTheNewer) {
  auto newer = Handover::begin(path_);
  ASSERT_TRUE(newer.has_value()) << newer.error().describe();
  EXPECT_EQ(released_, 1);
  auto kept = newer->finish();
  ASSERT_TRUE(kept.has_value()) << kept.error().describe();
  older_.reset();  // joins
  EXPECT_EQ(hungUp_, 0);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ((*kept)[0].resource, "nvidia.com/cx7_qsfp");
  EXPECT_FALSE(kubeletSeesTheEnd());
  HeldConnections held;
  held.add(std::move(*kept));
  EXPECT_FALSE(held.prune());
  held.keepOnly([](const std::string& name) { return name == "nvidia.com/cx7_qsfp"; });
  EXPECT_FALSE(kubeletSeesTheEnd());
  // Kubelet asks the one that is gone: it must not wait for ever.
  ASSERT_EQ(::send(kubelet_.get(), "?", 1, MSG_NOSIGNAL), 1);
  EXPECT_TRUE(held.prune());
  EXPECT_TRUE(held.takeAll().empty());
}

// A file that stands for the lock.
os::UniqueFd standIn() { return os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// Locks whose outcomes a test chooses: kBusy, or one that is had.
class ScriptedLock {
 public:
  explicit ScriptedLock(std::vector<bool> free) : free_(std::move(free)) {}
  TakeOverSeams seams() {
    return {[this]() -> Result<os::UniqueFd> {
              const auto now = tries++;
              if (free_[std::min<std::size_t>(now, free_.size() - 1)]) return standIn();
              return Error(ErrorCode::kBusy, "locked");
            },
            [this] { ++waits; }};
  }
  std::atomic<std::size_t> tries = 0;
  std::atomic<int> waits = 0;

 private:
  const std::vector<bool> free_;  // the last one for ever
};

TEST_F(HandoverTest, WaitsForAnAgentThatCannotBeAskedYet) {
  older_.reset();
  // It starts: the lock is its, and its socket comes later. What it holds it lets go when asked.
  std::atomic<std::size_t> tries = 0;
  std::atomic<int> waits = 0;
  const TakeOverSeams seams = {[&]() -> Result<os::UniqueFd> {
                                 ++tries;
                                 if (released_ > 0) return standIn();
                                 return Error(ErrorCode::kBusy, "locked");
                               },
                               [&] { ++waits; }};
  std::thread starting([&] {
    const auto patience = soon();
    while (tries < 3 && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
    serve();
  });
  const auto taken = takeOver(path_, seams);
  starting.join();
  ASSERT_TRUE(taken.has_value()) << taken.error().describe();
  EXPECT_TRUE(taken->handover.has_value());
  EXPECT_TRUE(taken->lock);
  EXPECT_EQ(released_, 1);
  EXPECT_EQ(waits, 1);
}

TEST_F(HandoverTest, TakesTheLockWhereNobodyIs) {
  older_.reset();
  ScriptedLock lock({true});
  const auto taken = takeOver(path_, lock.seams());
  ASSERT_TRUE(taken.has_value()) << taken.error().describe();
  EXPECT_FALSE(taken->handover.has_value());
  EXPECT_TRUE(taken->lock);
  EXPECT_EQ(lock.tries, 1U);
  EXPECT_EQ(lock.waits, 0);
  const auto refused = takeOver(path_, {[]() -> Result<os::UniqueFd> {
                                          return Error(ErrorCode::kPermissionDenied, "open lock");
                                        },
                                        [] {}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
}

// Two others hand the node over: the lock between them is not for a third.
TEST_F(HandoverTest, ALockThatIsFreeForAMomentIsLeft) {
  older_.reset();
  ScriptedLock lock({false, true, false, true, true});
  const auto taken = takeOver(path_, lock.seams());
  ASSERT_TRUE(taken.has_value()) << taken.error().describe();
  EXPECT_FALSE(taken->handover.has_value());
  EXPECT_EQ(lock.tries, 5U);
}

TEST_F(HandoverTest, TheNodeThatIsHandedOverMayBeLockedForAMoment) {
  ScriptedLock lock({false, false, true});
  const auto taken = takeOver(path_, lock.seams());
  ASSERT_TRUE(taken.has_value()) << taken.error().describe();
  EXPECT_TRUE(taken->handover.has_value());
  EXPECT_EQ(lock.tries, 3U);
}

TEST_F(HandoverTest, HangsUpWhenNobodyKeepsThem) {
  {
    const auto peer = os::connectUnix(path_, soon());
    ASSERT_TRUE(peer.has_value());
    ASSERT_TRUE(os::sendFrame(peer->get(), "handover/2", soon()).has_value());
    ASSERT_EQ(os::receiveFrame(peer->get(), soon()).value_or(""), "yours");
    ASSERT_TRUE(os::sendFrame(peer->get(), "leave", soon()).has_value());
    ASSERT_EQ(os::receiveFrame(peer->get(), soon()).value_or(""), "gone\nnvidia.com/cx7_qsfp");
  }  // it dies, and the connection on its way to it with it
  older_.reset();
  EXPECT_EQ(hungUp_, 1);
  EXPECT_TRUE(kubeletSeesTheEnd());
}

TEST_F(HandoverTest, LetsGoOfWhatKubeletClosedAndOfWhatNobodyServes) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  os::UniqueFd other(fds[0]);
  HeldConnections held;
  std::vector<KeptConnection> two;
  two.push_back({"r/a", std::move(ours_)});
  two.push_back({"r/b", os::UniqueFd(fds[1])});
  held.add(std::move(two));
  other.reset();
  EXPECT_FALSE(held.prune()) << "it was kubelet's wish";
  EXPECT_FALSE(kubeletSeesTheEnd());
  held.keepOnly([](const std::string&) { return false; });
  EXPECT_TRUE(kubeletSeesTheEnd());
}

}  // namespace
}  // namespace railhead::agent

// Kubelet, the folder, the socket and other servers come and go.
#include "src/kube/device_plugin_server.h"
#include "src/os/unix_listener.h"
#include "tests/support/plugin_fixture.h"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

namespace railhead::kube {
namespace {

using lab::KubeletStatus;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

class DevicePluginRestartTest : public PluginFixture {};

TEST_F(DevicePluginRestartTest, WaitsForAKubeletThatIsNotThereYet) {
  auto server = startServer(2);
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) {
        return state.phase == PluginPhase::kWaiting &&
               state.detail.find("kubelet.sock") != std::string::npos;
      },
      in(seconds(5))));
  startKubelet();
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginRestartTest, WaitsForTheFolder) {
  std::filesystem::remove_all(rig_->pluginsFolder());
  auto server = startServer(2);
  ASSERT_TRUE(server->waitFor(
      [&](const PluginState& state) {
        return state.detail.find(rig_->pluginsFolder()) != std::string::npos;
      },
      in(seconds(5))));
  startKubelet();  // makes it
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginRestartTest, ComesBackAfterEveryKubeletRestart) {
  startKubelet();
  auto server = startServer(4);
  ASSERT_TRUE(kubeletSees(4));
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(rig_->kubelet().restart().has_value());
    ASSERT_TRUE(kubeletSees(4)) << "round " << round;
  }
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
}

TEST_F(DevicePluginRestartTest, ComesBackWhenOnlyItsSocketIsRemoved) {
  startKubelet();
  auto server = startServer(1);
  ASSERT_TRUE(kubeletSees(1));
  const auto before = rig_->kubelet().status().registrations;
  std::filesystem::remove(rig_->pluginsFolder() + "/railhead.sock");
  EXPECT_TRUE(rig_->kubelet().waitFor(
      [&](const KubeletStatus& status) { return status.registrations > before; }, in(seconds(5))));
  EXPECT_TRUE(kubeletSees(1));
}

TEST_F(DevicePluginRestartTest, ComesBackWhenTheFolderIsReplaced) {
  startKubelet();
  auto server = startServer(1);
  ASSERT_TRUE(kubeletSees(1));
  rig_->kubelet().stop();
  // In one step: while it is emptied the server puts its socket back.
  std::filesystem::rename(rig_->pluginsFolder(), rig_->root() + "/away");
  std::filesystem::remove_all(rig_->root() + "/away");
  startKubelet();
  EXPECT_TRUE(kubeletSees(1));
}

TEST_F(DevicePluginRestartTest, RegistersAgainWhenKubeletStopsWatching) {
  startKubelet();
  auto quick = options();
  // Long enough for this thread to see kubelet without it in between.
  quick.unwatchedGrace = milliseconds(500);
  auto server = makeServer(quick);
  ASSERT_TRUE(server->setDevices(makeDevices(1)).has_value());
  ASSERT_TRUE(server->start().has_value());
  ASSERT_TRUE(kubeletSees(1));
  rig_->kubelet().dropPlugin(kResource);
  ASSERT_TRUE(kubeletSees(0));
  EXPECT_TRUE(kubeletSees(1, seconds(5)));
}

TEST_F(DevicePluginRestartTest, SaysWhyKubeletRefusesAndAsksAgain) {
  startKubelet();
  rig_->kubelet().refuseRegistrations("resource name is taken");
  auto server = startServer(1);
  ASSERT_TRUE(comesTo(*server, PluginPhase::kRefused));
  EXPECT_THAT(server->state().detail,
              AllOf(HasSubstr("resource name is taken"), HasSubstr(kResource)));
  EXPECT_EQ(server->state().registrations, 0U);
  rig_->kubelet().refuseRegistrations("");
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
  EXPECT_TRUE(kubeletSees(1));
}

TEST_F(DevicePluginRestartTest, KubeletSeesThePluginGoAndComeBack) {
  startKubelet();
  auto server = startServer(4);
  ASSERT_TRUE(kubeletSees(4));
  server->stop();
  EXPECT_EQ(server->state().phase, PluginPhase::kStopped);
  EXPECT_FALSE(std::filesystem::exists(rig_->pluginsFolder() + "/railhead.sock"));
  EXPECT_TRUE(kubeletSees(0));
  EXPECT_EQ(rig_->kubelet().status().resources.at(kResource).capacity, 4U);
  server = startServer(3);
  EXPECT_TRUE(kubeletSees(3));
}

TEST_F(DevicePluginRestartTest, TheNewestServerWinsAndTheOlderStandsBackUntilItGoes) {
  startKubelet();
  auto older = startServer(2);
  ASSERT_TRUE(kubeletSees(2));
  auto newer = startServer(5);
  EXPECT_TRUE(kubeletSees(5));
  EXPECT_TRUE(comesTo(*older, PluginPhase::kDisplaced));
  EXPECT_TRUE(comesTo(*newer, PluginPhase::kRegistered));
  const auto kept = older->retire();  // does not take the newer one's socket along
  EXPECT_TRUE(std::filesystem::exists(rig_->pluginsFolder() + "/railhead.sock"));
  EXPECT_FALSE(kubeletSees(0, milliseconds(100)));
  EXPECT_TRUE(kubeletSees(5));
}

// As kubelet does: the end of any stream makes the resource's devices unhealthy. Whoever holds a
// duplicate of the connection keeps kubelet from seeing one.
TEST_F(DevicePluginRestartTest, ARetiredServerTellsNothingAndAnswersAsEver) {
  startKubelet();
  auto older = startServer(2);
  ASSERT_TRUE(kubeletSees(2));
  const auto link = dial();
  auto newer = startServer(5);
  ASSERT_TRUE(kubeletSees(5));
  ASSERT_TRUE(comesTo(*older, PluginPhase::kDisplaced));
  auto kept = older->retire();
  EXPECT_EQ(kept.size(), 2U) << "kubelet's and ours";
  EXPECT_TRUE(older->retire().empty());
  ASSERT_TRUE(older->setDevices(makeDevices(1)).has_value());
  EXPECT_FALSE(kubeletSees(1, milliseconds(100)));
  EXPECT_TRUE(link->allocate({"set-0"}, in(seconds(2))).has_value())
      << "a call that kubelet began before it changed over";
  older->stop();
  EXPECT_TRUE(kubeletSees(0)) << "it hung up: a process that just ends does not";
  EXPECT_TRUE(comesTo(*newer, PluginPhase::kRegistered)) << "and cannot know";
}

// Each time somebody removes our socket kubelet gets one more stream, and closes none.
TEST_F(DevicePluginRestartTest, ManyRegistrationsWithOneKubeletLoseNothing) {
  startKubelet();
  auto server = startServer(3);
  ASSERT_TRUE(kubeletSees(3));
  for (int round = 0; round < 40; ++round) {
    const auto before = rig_->kubelet().status().registrations;
    std::filesystem::remove(rig_->pluginsFolder() + "/railhead.sock");
    ASSERT_TRUE(rig_->kubelet().waitFor(
        [&](const KubeletStatus& status) { return status.registrations > before; }, in(seconds(5))))
        << "round " << round;
    ASSERT_TRUE(kubeletSees(3)) << "round " << round;
  }
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
  EXPECT_LE(server->state().watchers, 17);
  ASSERT_TRUE(server->setDevices(makeDevices(2)).has_value());
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginRestartTest, ADisplacedServerReturnsWhenTheOtherIsGone) {
  startKubelet();
  auto older = startServer(2);
  ASSERT_TRUE(kubeletSees(2));
  auto newer = startServer(5);
  ASSERT_TRUE(kubeletSees(5));
  ASSERT_TRUE(comesTo(*older, PluginPhase::kDisplaced));
  newer->stop();
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginRestartTest, TakesOverASocketLeftBehind) {
  {
    const auto left = os::UnixListener::open(rig_->pluginsFolder() + "/railhead.sock");
    ASSERT_TRUE(left.has_value());
    std::filesystem::rename(rig_->pluginsFolder() + "/railhead.sock",
                            rig_->pluginsFolder() + "/kept");
  }
  std::filesystem::rename(rig_->pluginsFolder() + "/kept",
                          rig_->pluginsFolder() + "/railhead.sock");
  auto server = startServer(1);
  startKubelet();
  EXPECT_TRUE(kubeletSees(1));
}

// The processor time of this process, of all its threads.
std::chrono::nanoseconds processorTime() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

TEST_F(DevicePluginRestartTest, RestsWhileItsSocketCannotBeMadeAgain) {
  startKubelet();
  auto server = startServer(2);
  ASSERT_TRUE(kubeletSees(2));
  const std::string socket = rig_->pluginsFolder() + "/railhead.sock";
  const std::string file = rig_->pluginsFolder() + "/file";
  std::ofstream(file) << "no socket";
  std::filesystem::rename(file, socket);  // in one step: an empty place would be taken at once
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) {
        return state.phase == PluginPhase::kWaiting &&
               state.detail.find("is no socket") != std::string::npos;
      },
      in(seconds(5))));
  const auto before = processorTime();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(comesTo(*server, PluginPhase::kRegistered, seconds(1)));
  // Milliseconds; a thread that goes round and round takes all that it gets.
  const auto elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(processorTime() - before, elapsed / (kSlowdown == 1 ? 10 : 2));
  EXPECT_TRUE(std::filesystem::is_regular_file(socket));
  const auto registrations = server->state().registrations;
  std::filesystem::remove(socket);
  EXPECT_TRUE(server->waitFor(
      [&](const PluginState& state) {
        return state.phase == PluginPhase::kRegistered && state.registrations > registrations;
      },
      in(seconds(5))));
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginRestartTest, StartsAndStopsAtAnyMoment) {
  startKubelet();
  for (int round = 0; round < 30; ++round) {
    auto server = startServer(1);
    if (round % 3 == 1) std::this_thread::yield();
    if (round % 3 == 2) {
      ASSERT_TRUE(comesTo(*server, PluginPhase::kRegistered));
    }
  }
  auto server = makeServer(options());
  EXPECT_TRUE(server->start().has_value());
  EXPECT_FALSE(server->start().has_value());
}

TEST_F(DevicePluginRestartTest, TellsItsStatesInOrder) {
  startKubelet();
  std::mutex mutex;
  std::vector<PluginPhase> phases;
  auto all = options();
  all.onState = [&](const PluginState& state) {
    const std::lock_guard lock(mutex);
    if (phases.empty() || phases.back() != state.phase) phases.push_back(state.phase);
  };
  auto server = makeServer(all);
  ASSERT_TRUE(server->start().has_value());
  ASSERT_TRUE(comesTo(*server, PluginPhase::kRegistered));
  server->stop();
  const std::lock_guard lock(mutex);
  EXPECT_EQ(phases, (std::vector<PluginPhase>{PluginPhase::kWaiting, PluginPhase::kRegistering,
                                              PluginPhase::kRegistered, PluginPhase::kStopped}));
}

}  // namespace
}  // namespace railhead::kube

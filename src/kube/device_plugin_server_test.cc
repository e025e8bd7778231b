// The server against the kubelet stand-in, over real unix sockets.
#include "src/kube/device_plugin_server.h"

#include "lab/kubelet/plugin_link.h"
#include "lab/kubelet/rig.h"
#include "src/kube/plugin_socket.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using lab::KubeletRig;
using lab::KubeletStatus;
using lab::PluginLink;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";

os::Deadline in(milliseconds wait) { return std::chrono::steady_clock::now() + wait; }

// Hands out what it is asked for and prefers the last devices.
class TestHandler final : public ResourceHandler {
 public:
  Result<AllocateAnswer> allocate(const std::vector<std::string>& ids) override {
    ++allocations;
    if (refuse) return Error(ErrorCode::kBusy, "rail " + ids[0] + " is being repaired");
    AllocateAnswer answer;
    for (const auto& id : ids) answer.env["RAILS"] += id + ";";
    answer.mounts = {{"/etc/nccl.conf", "/run/railhead/nccl.conf", true}};
    answer.deviceNodes = {{"/dev/infiniband/uverbs0", "/dev/infiniband/uverbs0", "rw"}};
    answer.annotations = {{"railhead.dev/rails", ids[0]}};
    answer.cdiDevices = {"railhead.dev/rail=" + ids[0]};
    return answer;
  }
  Result<std::vector<std::string>> preferred(const std::vector<std::string>& available,
                                             const std::vector<std::string>&,
                                             std::size_t size) override {
    ++preferences;
    if (wrongPreference) return std::vector<std::string>(size, "nonsense");
    std::vector<std::string> best(available.rbegin(), available.rend());
    best.resize(size);
    return best;
  }

  std::atomic<int> allocations = 0;
  std::atomic<int> preferences = 0;
  std::atomic<bool> refuse = false;
  std::atomic<bool> wrongPreference = false;
};

std::vector<Device> makeDevices(int count, const std::string& prefix = "set-") {
  std::vector<Device> devices;
  for (int i = 0; i < count; ++i) devices.push_back({prefix + std::to_string(i), true, {i % 2}});
  return devices;
}

class DevicePluginServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
  }

  DevicePluginOptions options(const std::string& socket = "railhead.sock",
                              const std::string& resource = kResource) {
    DevicePluginOptions all;
    all.folder = rig_->pluginsFolder();
    all.socket = socket;
    all.resource = resource;
    return all;
  }

  std::unique_ptr<DevicePluginServer> makeServer(DevicePluginOptions all) {
    auto server = DevicePluginServer::create(std::move(all), handler_);
    EXPECT_TRUE(server.has_value()) << server.error().describe();
    return server.has_value() ? std::move(*server) : nullptr;
  }
  std::unique_ptr<DevicePluginServer> startServer(int devices) {
    auto server = makeServer(options());
    EXPECT_TRUE(server->setDevices(makeDevices(devices)).has_value());
    EXPECT_TRUE(server->start().has_value());
    return server;
  }

  testing::AssertionResult comesTo(const DevicePluginServer& server, PluginPhase phase,
                                   milliseconds wait = seconds(5)) {
    if (server.waitFor([&](const PluginState& state) { return state.phase == phase; }, in(wait))) {
      return testing::AssertionSuccess();
    }
    const auto state = server.state();
    return testing::AssertionFailure()
           << "still " << pluginPhaseName(state.phase) << ": " << state.detail;
  }
  testing::AssertionResult kubeletSees(std::size_t allocatable, milliseconds wait = seconds(5),
                                       const std::string& resource = kResource) {
    const auto count = [&](const KubeletStatus& status) {
      const auto found = status.resources.find(resource);
      return found == status.resources.end() ? 0 : found->second.allocatable;
    };
    if (rig_->kubelet().waitFor(
            [&](const KubeletStatus& status) { return count(status) == allocatable; }, in(wait))) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure()
           << count(rig_->kubelet().status()) << " are allocatable, not " << allocatable;
  }
  std::unique_ptr<PluginLink> dial() {
    auto link = PluginLink::dial(rig_->pluginsFolder() + "/railhead.sock", in(seconds(2)));
    EXPECT_TRUE(link.has_value()) << link.error().describe();
    return link.has_value() ? std::move(*link) : nullptr;
  }
  void startKubelet() {
    const auto started = rig_->kubelet().start();
    ASSERT_TRUE(started.has_value()) << started.error().describe();
  }

  std::unique_ptr<KubeletRig> rig_;
  TestHandler handler_;
};

TEST_F(DevicePluginServerTest, RegistersAndShowsItsDevices) {
  startKubelet();
  auto server = startServer(4);
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
  EXPECT_TRUE(kubeletSees(4));
  const auto status = rig_->kubelet().status();
  const auto& devices = status.resources.at(kResource).devices;
  EXPECT_EQ(devices, makeDevices(4));
  EXPECT_EQ(server->state().watchers, 1);
  EXPECT_EQ(server->state().registrations, 1U);
  EXPECT_EQ(server->state().detail, "");
}

TEST_F(DevicePluginServerTest, PushesEveryChangeAsOneList) {
  startKubelet();
  auto server = startServer(4);
  ASSERT_TRUE(kubeletSees(4));
  auto devices = makeDevices(4);
  devices[1].healthy = false;
  ASSERT_TRUE(server->setDevices(devices).has_value());
  EXPECT_TRUE(kubeletSees(3));
  EXPECT_EQ(rig_->kubelet().status().resources.at(kResource).capacity, 4U);
  ASSERT_TRUE(server->setDevices({}).has_value());
  EXPECT_TRUE(kubeletSees(0));
  EXPECT_EQ(rig_->kubelet().status().resources.at(kResource).capacity, 0U);
  ASSERT_TRUE(server->setDevices(makeDevices(2)).has_value());
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginServerTest, WaitsForAKubeletThatIsNotThereYet) {
  auto server = startServer(2);
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) {
        return state.phase == PluginPhase::kWaiting &&
               state.detail.find("kubelet.sock") != std::string::npos;
      },
      in(seconds(5))));
  startKubelet();
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered, seconds(1)));
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginServerTest, WaitsForTheFolder) {
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

TEST_F(DevicePluginServerTest, ComesBackWithinASecondOfEveryKubeletRestart) {
  startKubelet();
  auto server = startServer(4);
  ASSERT_TRUE(kubeletSees(4));
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(rig_->kubelet().restart().has_value());
    ASSERT_TRUE(kubeletSees(4, seconds(1))) << "round " << round;
  }
  EXPECT_TRUE(comesTo(*server, PluginPhase::kRegistered));
}

TEST_F(DevicePluginServerTest, ComesBackWhenOnlyItsSocketIsRemoved) {
  startKubelet();
  auto server = startServer(1);
  ASSERT_TRUE(kubeletSees(1));
  const auto before = rig_->kubelet().status().registrations;
  std::filesystem::remove(rig_->pluginsFolder() + "/railhead.sock");
  EXPECT_TRUE(rig_->kubelet().waitFor(
      [&](const KubeletStatus& status) { return status.registrations > before; }, in(seconds(1))));
  EXPECT_TRUE(kubeletSees(1, seconds(1)));
}

TEST_F(DevicePluginServerTest, ComesBackWhenTheFolderIsReplaced) {
  startKubelet();
  auto server = startServer(1);
  ASSERT_TRUE(kubeletSees(1));
  rig_->kubelet().stop();
  std::filesystem::remove_all(rig_->pluginsFolder());
  startKubelet();
  EXPECT_TRUE(kubeletSees(1));
}

TEST_F(DevicePluginServerTest, RegistersAgainWhenKubeletStopsWatching) {
  startKubelet();
  auto quick = options();
  quick.unwatchedGrace = milliseconds(50);
  auto server = makeServer(quick);
  ASSERT_TRUE(server->setDevices(makeDevices(1)).has_value());
  ASSERT_TRUE(server->start().has_value());
  ASSERT_TRUE(kubeletSees(1));
  rig_->kubelet().dropPlugin(kResource);
  ASSERT_TRUE(kubeletSees(0));
  EXPECT_TRUE(kubeletSees(1, seconds(2)));
}

TEST_F(DevicePluginServerTest, SaysWhyKubeletRefusesAndAsksAgain) {
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

TEST_F(DevicePluginServerTest, AStalledWatcherHoldsUpNobodyAndCostsOneList) {
  startKubelet();
  auto server = startServer(1);
  ASSERT_TRUE(kubeletSees(1));
  auto stalled = dial();
  stalled->watchWithoutReading();
  ASSERT_TRUE(server->waitFor([](const PluginState& state) { return state.watchers == 2; },
                              in(seconds(5))));
  // Lists longer than a stream's window of 64 KiB, so that one stays under way.
  const std::string longName(50, 'x');
  for (int round = 0; round < 50; ++round) {
    const int count = 1400 + round;
    ASSERT_TRUE(server->setDevices(makeDevices(count, longName)).has_value());
    ASSERT_TRUE(kubeletSees(static_cast<std::size_t>(count)));
  }
  ASSERT_TRUE(server->setDevices(makeDevices(3, longName)).has_value());
  EXPECT_TRUE(kubeletSees(3));
  // What was kept for the sleeper: the first list, the one that got stuck, and the newest.
  std::vector<std::size_t> sizes;
  stalled->readAfterAll([&](const std::vector<Device>& list) {
    sizes.push_back(list.size());
    return list.size() == 3;
  });
  ASSERT_FALSE(sizes.empty());
  EXPECT_EQ(sizes.back(), 3U);
  EXPECT_LE(sizes.size(), 4U) << testing::PrintToString(sizes);
  stalled.reset();
  EXPECT_TRUE(server->waitFor([](const PluginState& state) { return state.watchers == 1; },
                              in(seconds(5))));
}

TEST_F(DevicePluginServerTest, ServesAThousandDevices) {
  startKubelet();
  auto server = startServer(1000);
  ASSERT_TRUE(kubeletSees(1000));
  auto devices = makeDevices(1000);
  devices[999].healthy = false;
  ASSERT_TRUE(server->setDevices(devices).has_value());
  EXPECT_TRUE(kubeletSees(999, seconds(1)));
}

TEST_F(DevicePluginServerTest, RefusesMoreWatchersThanItsBound) {
  auto server = startServer(1);
  std::vector<std::unique_ptr<PluginLink>> links;
  std::atomic<int> ended = 0;
  std::atomic<int> lists = 0;
  ASSERT_TRUE(comesTo(*server, PluginPhase::kWaiting));
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) { return state.detail.find("connect") != std::string::npos; },
      in(seconds(5))));
  for (int i = 0; i < 6; ++i) {
    links.push_back(dial());
    links.back()->watch([&](const std::vector<Device>&) { ++lists; }, [&] { ++ended; });
  }
  const auto deadline = in(seconds(5));
  while ((ended < 2 || lists < 4) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(lists, 4);
  EXPECT_EQ(server->state().watchers, 4);
}

TEST_F(DevicePluginServerTest, AllocatesWhatItPrefers) {
  startKubelet();
  ASSERT_TRUE(rig_->installPlugin("ok", "cat >/dev/null; echo '{\"cniVersion\": \"1.0.0\"}'"));
  ASSERT_TRUE(
      rig_->writeFile(rig_->cniConfigFolder() + "/10-ok.conflist",
                      R"({"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "ok"}]})"));
  auto server = startServer(4);
  ASSERT_TRUE(kubeletSees(4));
  lab::PodSpec spec;
  spec.name.name = "a";
  spec.resources[kResource] = 1;
  const auto pod = rig_->kubelet().runPod(spec);
  ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  EXPECT_EQ(pod->devices.at(kResource), std::vector<std::string>{"set-3"});
  AllocateAnswer expected;
  expected.env = {{"RAILS", "set-3;"}};
  expected.mounts = {{"/etc/nccl.conf", "/run/railhead/nccl.conf", true}};
  expected.deviceNodes = {{"/dev/infiniband/uverbs0", "/dev/infiniband/uverbs0", "rw"}};
  expected.annotations = {{"railhead.dev/rails", "set-3"}};
  expected.cdiDevices = {"railhead.dev/rail=set-3"};
  EXPECT_EQ(pod->allocation, expected);
  EXPECT_EQ(handler_.preferences, 1);
}

TEST_F(DevicePluginServerTest, RefusesUnknownAndRepeatedDevices) {
  auto server = startServer(4);
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) { return state.detail.find("connect") != std::string::npos; },
      in(seconds(5))));
  const auto link = dial();
  const auto unknown = link->allocate({"set-1", "set-9"}, in(seconds(2)));
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknown.error().message, AllOf(HasSubstr("'set-9'"), HasSubstr("4 devices")));
  const auto twice = link->allocate({"set-1", "set-1"}, in(seconds(2)));
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
  const auto none = link->allocate({}, in(seconds(2)));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(handler_.allocations, 0);
}

TEST_F(DevicePluginServerTest, PassesTheHandlersRefusalOn) {
  auto server = startServer(4);
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) { return state.detail.find("connect") != std::string::npos; },
      in(seconds(5))));
  const auto link = dial();
  handler_.refuse = true;
  const auto refused = link->allocate({"set-1"}, in(seconds(2)));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBusy);
  EXPECT_THAT(refused.error().message, HasSubstr("rail set-1 is being repaired"));
  handler_.refuse = false;
  EXPECT_TRUE(link->allocate({"set-1"}, in(seconds(2))).has_value());
}

TEST_F(DevicePluginServerTest, ChecksPreferencesBothWays) {
  auto server = startServer(3);
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) { return state.detail.find("connect") != std::string::npos; },
      in(seconds(5))));
  const auto link = dial();
  EXPECT_TRUE(link->offersPreference());
  const auto good = link->preferred({"set-0", "set-1", "set-2"}, 2, in(seconds(2)));
  ASSERT_TRUE(good.has_value()) << good.error().describe();
  EXPECT_EQ(*good, (std::vector<std::string>{"set-2", "set-1"}));
  // A device that left the list since is no choice; with too few left there is no opinion.
  const auto older = link->preferred({"set-0", "gone"}, 2, in(seconds(2)));
  ASSERT_TRUE(older.has_value()) << older.error().describe();
  EXPECT_TRUE(older->empty());
  const auto tooMany = link->preferred({"set-0"}, 2, in(seconds(2)));
  ASSERT_FALSE(tooMany.has_value());
  EXPECT_EQ(tooMany.error().code, ErrorCode::kInvalidArgument);
  handler_.wrongPreference = true;
  const auto wrong = link->preferred({"set-0", "set-1"}, 1, in(seconds(2)));
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kInternal);
}

TEST_F(DevicePluginServerTest, KubeletSeesThePluginGoAndComeBack) {
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

TEST_F(DevicePluginServerTest, TheNewestServerWinsAndTheOlderStandsBackUntilItGoes) {
  startKubelet();
  auto older = startServer(2);
  ASSERT_TRUE(kubeletSees(2));
  auto newer = startServer(5);
  EXPECT_TRUE(kubeletSees(5));
  EXPECT_TRUE(comesTo(*older, PluginPhase::kDisplaced));
  EXPECT_TRUE(comesTo(*newer, PluginPhase::kRegistered));
  older->stop();  // does not take the newer one's socket along
  EXPECT_TRUE(std::filesystem::exists(rig_->pluginsFolder() + "/railhead.sock"));
  EXPECT_TRUE(kubeletSees(5));
}

TEST_F(DevicePluginServerTest, ADisplacedServerReturnsWhenTheOtherIsGone) {
  startKubelet();
  auto older = startServer(2);
  ASSERT_TRUE(kubeletSees(2));
  auto newer = startServer(5);
  ASSERT_TRUE(kubeletSees(5));
  ASSERT_TRUE(comesTo(*older, PluginPhase::kDisplaced));
  newer->stop();
  EXPECT_TRUE(kubeletSees(2));
}

TEST_F(DevicePluginServerTest, TakesOverASocketLeftBehind) {
  {
    PluginSocket left(rig_->pluginsFolder() + "/railhead.sock");
    ASSERT_TRUE(left.listen().has_value());
    std::filesystem::rename(rig_->pluginsFolder() + "/railhead.sock",
                            rig_->pluginsFolder() + "/kept");
  }
  std::filesystem::rename(rig_->pluginsFolder() + "/kept",
                          rig_->pluginsFolder() + "/railhead.sock");
  auto server = startServer(1);
  startKubelet();
  EXPECT_TRUE(kubeletSees(1));
}

TEST_F(DevicePluginServerTest, ResourcesAreServersOfTheirOwn) {
  startKubelet();
  auto rails = startServer(4);
  auto other = options("railhead-gpu.sock", "nvidia.com/gpu");
  auto gpus = makeServer(other);
  ASSERT_TRUE(gpus->setDevices(makeDevices(1, "gpu-")).has_value());
  ASSERT_TRUE(gpus->start().has_value());
  EXPECT_TRUE(kubeletSees(4));
  EXPECT_TRUE(kubeletSees(1, seconds(5), "nvidia.com/gpu"));
  gpus->stop();
  EXPECT_TRUE(kubeletSees(0, seconds(5), "nvidia.com/gpu"));
  EXPECT_TRUE(kubeletSees(4));
}

TEST_F(DevicePluginServerTest, StartsAndStopsAtAnyMoment) {
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

TEST_F(DevicePluginServerTest, TellsItsStatesInOrder) {
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

TEST_F(DevicePluginServerTest, RefusesBadNamesAndLongPaths) {
  const auto errorOf = [&](DevicePluginOptions all) {
    auto server = DevicePluginServer::create(std::move(all), handler_);
    return server.has_value() ? Error() : server.error();
  };
  EXPECT_THAT(errorOf(options("a/b")).message, HasSubstr("'a/b'"));
  EXPECT_THAT(errorOf(options("kubelet.sock")).message, HasSubstr("kubelet.sock"));
  EXPECT_THAT(errorOf(options("")).message, HasSubstr("socket name"));
  EXPECT_THAT(errorOf(options("s", "gpu")).message, HasSubstr("'gpu'"));
  EXPECT_THAT(errorOf(options("s", "kubernetes.io/x")).message, HasSubstr("kubernetes.io"));
  auto deep = options();
  deep.folder = "/" + std::string(99, 'd');
  const auto tooLong = errorOf(deep);
  EXPECT_EQ(tooLong.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(tooLong.message, AllOf(HasSubstr("114 bytes"), HasSubstr("at most 107")));
}

TEST_F(DevicePluginServerTest, RefusesBadDeviceLists) {
  auto server = makeServer(options());
  const auto errorOf = [&](std::vector<Device> devices) {
    auto set = server->setDevices(std::move(devices));
    return set.has_value() ? std::string() : set.error().message;
  };
  EXPECT_THAT(errorOf({{"", true, {}}}), HasSubstr("1 to 63"));
  EXPECT_THAT(errorOf({{std::string(64, 'a'), true, {}}}), HasSubstr("1 to 63"));
  EXPECT_THAT(errorOf({{"a b", true, {}}}), HasSubstr("'a b'"));
  EXPECT_THAT(errorOf({{"a", true, {}}, {"a", false, {}}}), HasSubstr("twice"));
  EXPECT_THAT(errorOf(makeDevices(4097)), HasSubstr("at most 4096"));
  EXPECT_EQ(errorOf(makeDevices(4096)), "");
}

}  // namespace
}  // namespace railhead::kube

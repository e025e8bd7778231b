// What a device-plugin server tells kubelet, and what it answers.
#include "src/kube/device_plugin_server.h"

#include "tests/support/plugin_fixture.h"

#include <algorithm>
#include <array>
#include <thread>

#include <gmock/gmock.h>

namespace railhead::kube {
namespace {

using lab::PluginLink;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

class DevicePluginServerTest : public PluginFixture {};

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
  constexpr int kRounds = kSlowdown == 1 ? 50 : 6;  // each takes seconds under the thread sanitizer
  for (int round = 0; round < kRounds; ++round) {
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
  EXPECT_TRUE(kubeletSees(999));
}

// Kubelet closes no stream when a plugin registers again: the newest is the one that counts.
TEST_F(DevicePluginServerTest, ANewStreamAboveTheBoundEndsTheOlderOnes) {
  auto server = startServer(1);
  ASSERT_TRUE(comesTo(*server, PluginPhase::kWaiting));
  ASSERT_TRUE(server->waitFor(
      [](const PluginState& state) { return state.detail.find("connect") != std::string::npos; },
      in(seconds(5))));
  constexpr int kBound = 16;
  std::vector<std::unique_ptr<PluginLink>> links;
  std::atomic<int> lists = 0;
  std::array<std::atomic<bool>, kBound + 1> ended{};
  for (int i = 0; i <= kBound; ++i) {
    links.push_back(dial());
    links.back()->watch([&](const std::vector<Device>&) { ++lists; },
                        [&, i] { ended[static_cast<std::size_t>(i)] = true; });
    ASSERT_TRUE(server->waitFor(
        [&](const PluginState& state) { return state.watchers == i + 1 || state.watchers == 1; },
        in(seconds(5))));
  }
  EXPECT_TRUE(server->waitFor([](const PluginState& state) { return state.watchers == 1; },
                              in(seconds(5))));
  ASSERT_TRUE(server->setDevices(makeDevices(2)).has_value());
  const auto deadline = in(seconds(5));
  const auto allEnded = [&] {
    return std::all_of(ended.begin(), ended.end() - 1, [](const auto& one) { return one.load(); });
  };
  while ((!allEnded() || lists < kBound + 2) && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(allEnded());
  EXPECT_FALSE(ended.back()) << "the newest";
  EXPECT_EQ(lists, kBound + 2);
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
  EXPECT_EQ(server->state().allocations, 1U) << "a refused one is none";
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
  // Kubelet refuses the pod for good when it gets an error: it had better choose by itself.
  handler_.wrongPreference = true;
  const auto wrong = link->preferred({"set-0", "set-1"}, 1, in(seconds(2)));
  ASSERT_TRUE(wrong.has_value()) << wrong.error().describe();
  EXPECT_TRUE(wrong->empty());
  handler_.wrongPreference = false;
  handler_.noPreference = true;
  const auto failed = link->preferred({"set-0", "set-1"}, 1, in(seconds(2)));
  ASSERT_TRUE(failed.has_value()) << failed.error().describe();
  EXPECT_TRUE(failed->empty());
  // The device that the container has already left the list a moment ago.
  handler_.noPreference = false;
  const auto left = link->preferred({"set-0", "set-1", "gone"}, 2, in(seconds(2)), {"gone"});
  ASSERT_TRUE(left.has_value()) << left.error().describe();
  EXPECT_TRUE(left->empty());
  const std::lock_guard lock(notesMutex_);
  EXPECT_THAT(notes_, testing::ElementsAre(HasSubstr("came out as 'nonsense'"),
                                           HasSubstr("no order is known"),
                                           HasSubstr("device 'gone' is unknown")));
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

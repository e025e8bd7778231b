#include "src/kube/pod_resources_client.h"

#include "lab/kubelet/rig.h"
#include "src/kube/device_plugin_server.h"
#include "src/os/unix_listener.h"
#include "src/os/unix_socket.h"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using lab::KubeletRig;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";

os::Deadline in(milliseconds wait) { return std::chrono::steady_clock::now() + wait; }

class PlainHandler final : public ResourceHandler {
 public:
  Result<AllocateAnswer> allocate(const std::vector<std::string>&) override {
    return AllocateAnswer{};
  }
  Result<std::vector<std::string>> preferred(const std::vector<std::string>&,
                                             const std::vector<std::string>&,
                                             std::size_t) override {
    return std::vector<std::string>();
  }
};

class PodResourcesClientTest : public testing::Test {
 protected:
  void startKubelet(bool offersGet, int rejectedCalls = 0) {
    lab::KubeletOptions options;
    options.offersGet = offersGet;
    options.rejectedCalls = rejectedCalls;
    auto made = KubeletRig::make(options);
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    ASSERT_TRUE(rig_->kubelet().start().has_value());
    DevicePluginOptions plugin;
    plugin.folder = rig_->pluginsFolder();
    plugin.socket = "r.sock";
    plugin.resource = kResource;
    auto server = DevicePluginServer::create(plugin, handler_);
    ASSERT_TRUE(server.has_value());
    server_ = std::move(*server);
    ASSERT_TRUE(server_
                    ->setDevices({{"set-0", true, {0}},
                                  {"set-1", true, {0}},
                                  {"set-2", true, {1}},
                                  {"set-3", true, {1}}})
                    .has_value());
    ASSERT_TRUE(server_->start().has_value());
    ASSERT_TRUE(rig_->kubelet().waitFor(
        [](const lab::KubeletStatus& status) {
          const auto found = status.resources.find(kResource);
          return found != status.resources.end() && found->second.allocatable == 4;
        },
        in(seconds(5))));
    ASSERT_TRUE(rig_->installPlugin("ok", "cat >/dev/null; echo '{}'"));
    ASSERT_TRUE(
        rig_->writeFile(rig_->cniConfigFolder() + "/10-ok.conflist",
                        R"({"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "ok"}]})"));
  }
  void runPod(const std::string& name, int count) {
    lab::PodSpec spec;
    spec.name = {"ml", name};
    if (count > 0) spec.resources[kResource] = count;
    const auto pod = rig_->kubelet().runPod(spec);
    ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  }
  PodResourcesClient client() const { return PodResourcesClient(rig_->podResourcesSocket()); }

  std::unique_ptr<KubeletRig> rig_;
  PlainHandler handler_;
  std::unique_ptr<DevicePluginServer> server_;
};

TEST_F(PodResourcesClientTest, ListsEveryPodsDevices) {
  startKubelet(true);
  runPod("a", 2);
  runPod("b", 1);
  runPod("plain", 0);
  const auto all = client().list(in(seconds(5)));
  ASSERT_TRUE(all.has_value()) << all.error().describe();
  EXPECT_THAT(*all,
              UnorderedElementsAre(PodDevices{"ml", "a", "main", kResource, {"set-0", "set-1"}},
                                   PodDevices{"ml", "b", "main", kResource, {"set-2"}}));
}

TEST_F(PodResourcesClientTest, GetsOnePod) {
  startKubelet(true);
  runPod("a", 1);
  runPod("plain", 0);
  const auto one = client().get("ml", "a", in(seconds(5)));
  ASSERT_TRUE(one.has_value()) << one.error().describe();
  EXPECT_THAT(*one, UnorderedElementsAre(PodDevices{"ml", "a", "main", kResource, {"set-0"}}));
  const auto plain = client().get("ml", "plain", in(seconds(5)));
  ASSERT_TRUE(plain.has_value()) << plain.error().describe();
  EXPECT_TRUE(plain->empty());
  const auto unknown = client().get("ml", "nobody", in(seconds(5)));
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
}

TEST_F(PodResourcesClientTest, FallsBackToTheListOnOlderKubelets) {
  startKubelet(false);
  runPod("a", 1);
  runPod("b", 1);
  const auto one = client().get("ml", "b", in(seconds(5)));
  ASSERT_TRUE(one.has_value()) << one.error().describe();
  EXPECT_THAT(*one, UnorderedElementsAre(PodDevices{"ml", "b", "main", kResource, {"set-1"}}));
  const auto unknown = client().get("ml", "nobody", in(seconds(5)));
  ASSERT_TRUE(unknown.has_value());
  EXPECT_TRUE(unknown->empty());
}

TEST_F(PodResourcesClientTest, RemembersThatThereIsNoGet) {
  startKubelet(false);
  runPod("a", 1);
  const auto one = client();
  const auto calls = [&] { return rig_->kubelet().status().podResourcesCalls; };
  const auto before = calls();
  ASSERT_TRUE(one.get("ml", "a", in(seconds(5))).has_value());
  EXPECT_EQ(calls() - before, 2U);
  ASSERT_TRUE(one.get("ml", "a", in(seconds(5))).has_value());
  EXPECT_EQ(calls() - before, 3U);
  // Another kubelet may have it.
  rig_->kubelet().stop();
  EXPECT_FALSE(one.get("ml", "a", in(milliseconds(200))).has_value());
  ASSERT_TRUE(rig_->kubelet().start().has_value());
  ASSERT_TRUE(one.get("ml", "a", in(seconds(5))).has_value());
  EXPECT_EQ(calls() - before, 5U);
}

// Kubelet lets 100 calls a second through, of all its clients together.
TEST_F(PodResourcesClientTest, WaitsWhereKubeletLimitsTheRate) {
  startKubelet(true, 4);
  runPod("a", 1);
  const auto one = client().get("ml", "a", in(seconds(5)));
  ASSERT_TRUE(one.has_value()) << one.error().describe();
  EXPECT_EQ(one->size(), 1U);
  EXPECT_GE(rig_->kubelet().status().podResourcesCalls, 5U);
}

TEST_F(PodResourcesClientTest, ALimitThatLastsIsATryAgain) {
  startKubelet(true, 1'000'000);
  for (const auto& answer :
       {client().get("ml", "a", in(milliseconds(900))), client().list(in(milliseconds(900)))}) {
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(answer.error().message, HasSubstr("rejected by rate limit"));
  }
}

TEST_F(PodResourcesClientTest, SurvivesKubeletRestart) {
  startKubelet(true);
  runPod("a", 1);
  const auto one = client();
  for (int round = 0; round < 10; ++round) {
    const auto all = one.list(in(seconds(5)));
    ASSERT_TRUE(all.has_value()) << all.error().describe();
    EXPECT_EQ(all->size(), 1U);
    ASSERT_TRUE(rig_->kubelet().restart().has_value());
  }
  const auto own = one.get("ml", "a", in(seconds(5)));
  ASSERT_TRUE(own.has_value()) << own.error().describe();
  EXPECT_EQ(own->size(), 1U);
}

// The sockets of this process, by the kernel's number for each: kubelet's side of them, too.
std::set<std::string> openSockets() {
  std::set<std::string> sockets;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with("socket:")) sockets.insert(target);
  }
  return sockets;
}

TEST_F(PodResourcesClientTest, KeepsItsConnection) {
  startKubelet(true);
  runPod("a", 1);
  const auto one = client();
  ASSERT_TRUE(one.get("ml", "a", in(seconds(5))).has_value());
  const auto before = openSockets();
  for (int round = 0; round < 5; ++round)
    ASSERT_TRUE(one.get("ml", "a", in(seconds(5))).has_value());
  ASSERT_TRUE(one.list(in(seconds(5))).has_value());
  EXPECT_EQ(openSockets(), before);
}

TEST_F(PodResourcesClientTest, SaysWhenKubeletIsAway) {
  const PodResourcesClient nowhere("/nonexistent/kubelet.sock");
  const auto answer = nowhere.list(in(seconds(5)));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(answer.error().message, HasSubstr("/nonexistent/kubelet.sock"));
}

TEST_F(PodResourcesClientTest, EndsAtItsDeadlineWhenNobodyAnswers) {
  auto made = KubeletRig::make();
  ASSERT_TRUE(made.has_value());
  const std::string path = (*made)->root() + "/silent.sock";
  const auto silent = os::UnixListener::open(path);
  ASSERT_TRUE(silent.has_value());
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = PodResourcesClient(path).list(in(milliseconds(200)));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(3));
}

}  // namespace
}  // namespace railhead::kube

// Pods of the stand-in, with real device-plugin servers and real programs as CNI plugins.
#include "lab/kubelet/kubelet.h"

#include "lab/kubelet/control.h"
#include "lab/kubelet/rig.h"
#include "src/kube/device_plugin_server.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";

os::Deadline in(milliseconds wait) { return std::chrono::steady_clock::now() + wait; }

class RailHandler final : public kube::ResourceHandler {
 public:
  Result<kube::AllocateAnswer> allocate(const std::vector<std::string>& ids) override {
    if (ids[0] == "set-3") return Error(ErrorCode::kBusy, "set-3 is being repaired");
    kube::AllocateAnswer answer;
    answer.env["RAIL"] = ids[0];
    return answer;
  }
  Result<std::vector<std::string>> preferred(const std::vector<std::string>&,
                                             const std::vector<std::string>&,
                                             std::size_t) override {
    return std::vector<std::string>();
  }
};

class KubeletTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    const auto started = rig_->kubelet().start();
    ASSERT_TRUE(started.has_value()) << started.error().describe();
    kube::DevicePluginOptions options;
    options.folder = rig_->pluginsFolder();
    options.socket = "rails.sock";
    options.resource = kResource;
    auto server = kube::DevicePluginServer::create(options, handler_);
    ASSERT_TRUE(server.has_value());
    server_ = std::move(*server);
    ASSERT_TRUE(server_->setDevices({{"set-0", true, {}}, {"set-1", true, {}}, {"set-2", true, {}}})
                    .has_value());
    ASSERT_TRUE(server_->start().has_value());
    ASSERT_TRUE(allocatable(3));
    // Each plugin notes its environment and input, and passes the previous result on.
    const std::string note = "cat > " + rig_->root() + "/$CNI_COMMAND.$(basename $0)\n" + "env > " +
                             rig_->root() + "/$CNI_COMMAND.$(basename $0).env\n" +
                             "echo $CNI_COMMAND $(basename $0) >> " + rig_->root() + "/calls\n";
    install("bridge", note +
                          "[ $CNI_COMMAND = ADD ] || exit 0\n"
                          "echo '{\"cniVersion\": \"1.0.0\", \"interfaces\": [{\"name\": "
                          "\"eth0\"}]}'\n");
    install("railhead", note +
                            "[ $CNI_COMMAND = ADD ] || exit 0\n"
                            "echo '{\"cniVersion\": \"1.0.0\", \"interfaces\": [{\"name\": "
                            "\"eth0\"}, {\"name\": \"net1\"}]}'\n");
    configure("10-cilium.conflist",
              R"({"name": "later", "cniVersion": "1.0.0", "plugins": [{"type": "absent"}]})");
    configure("00-railhead.conflist", R"({
      "name": "primary", "cniVersion": "1.0.0", "plugins": [
        {"type": "bridge", "mtu": 1500},
        {"type": "railhead", "capabilities": {"io.kubernetes.cri.pod-annotations": true,
                                              "portMappings": true}}]})");
  }

  void install(const std::string& type, const std::string& script) {
    const auto done = rig_->installPlugin(type, script);
    ASSERT_TRUE(done.has_value()) << done.error().describe();
  }
  void configure(const std::string& name, const std::string& text) {
    const auto done = rig_->writeFile(rig_->cniConfigFolder() + "/" + name, text);
    ASSERT_TRUE(done.has_value()) << done.error().describe();
  }
  bool allocatable(std::size_t count) {
    return rig_->kubelet().waitFor(
        [&](const KubeletStatus& status) {
          const auto found = status.resources.find(kResource);
          return found != status.resources.end() && found->second.allocatable == count;
        },
        in(seconds(5)));
  }
  std::size_t free() { return rig_->kubelet().status().resources.at(kResource).free; }
  static PodSpec spec(const std::string& name, int count = 1) {
    PodSpec spec;
    spec.name.name = name;
    spec.annotations = {{"k8s.v1.cni.cncf.io/networks", "dgx-qsfp"}};
    if (count > 0) spec.resources[kResource] = count;
    return spec;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(rig_->root() + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool noSandboxes() const { return std::filesystem::is_empty(rig_->netnsFolder()); }

  std::unique_ptr<KubeletRig> rig_;
  RailHandler handler_;
  std::unique_ptr<kube::DevicePluginServer> server_;
};

TEST_F(KubeletTest, RunsAPodAsContainerdDoes) {
  const auto pod = rig_->kubelet().runPod(spec("a"));
  ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  EXPECT_EQ(pod->allocation.env.at("RAIL"), "set-0");
  EXPECT_THAT(pod->sandboxId, testing::SizeIs(64));
  EXPECT_TRUE(std::filesystem::exists(pod->netns));
  EXPECT_EQ(json::parse(pod->cniResult)["interfaces"].size(), 2U);
  EXPECT_EQ(read("calls"), "ADD bridge\nADD railhead\n");

  const json first = json::parse(read("ADD.bridge"));
  EXPECT_EQ(first["name"], "primary");
  EXPECT_EQ(first["cniVersion"], "1.0.0");
  EXPECT_EQ(first["mtu"], 1500);
  EXPECT_FALSE(first.contains("prevResult"));
  EXPECT_FALSE(first.contains("runtimeConfig"));  // it asked for no capability
  const json second = json::parse(read("ADD.railhead"));
  EXPECT_EQ(second["prevResult"]["interfaces"][0]["name"], "eth0");
  EXPECT_EQ(
      second["runtimeConfig"],
      json({{"io.kubernetes.cri.pod-annotations", {{"k8s.v1.cni.cncf.io/networks", "dgx-qsfp"}}}}));
  EXPECT_THAT(read("ADD.railhead.env"),
              AllOf(HasSubstr("CNI_COMMAND=ADD\n"), HasSubstr("CNI_IFNAME=eth0\n"),
                    HasSubstr("CNI_CONTAINERID=" + pod->sandboxId + "\n"),
                    HasSubstr("CNI_NETNS=" + pod->netns + "\n"),
                    HasSubstr("CNI_PATH=" + rig_->cniBinFolder() + "\n"),
                    HasSubstr("K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;"
                              "K8S_POD_INFRA_CONTAINER_ID=" +
                              pod->sandboxId + ";K8S_POD_UID=" + pod->uid + "\n")));
}

TEST_F(KubeletTest, DeletesInReverseWithTheResult) {
  const auto pod = rig_->kubelet().runPod(spec("a"));
  ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  const auto deleted = rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kProperly);
  ASSERT_TRUE(deleted.has_value()) << deleted.error().describe();
  EXPECT_EQ(read("calls"), "ADD bridge\nADD railhead\nDEL railhead\nDEL bridge\n");
  const json del = json::parse(read("DEL.bridge"));
  EXPECT_EQ(del["prevResult"], json::parse(pod->cniResult));
  EXPECT_THAT(read("DEL.bridge.env"), HasSubstr("CNI_NETNS=" + pod->netns + "\n"));
  EXPECT_TRUE(noSandboxes());
  EXPECT_EQ(free(), 3U);
  const auto again = rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kProperly);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
}

TEST_F(KubeletTest, TheNamespaceMayVanishWithoutDel) {
  ASSERT_TRUE(rig_->kubelet().runPod(spec("a")).has_value());
  ASSERT_TRUE(rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kWithoutDel).has_value());
  EXPECT_EQ(read("calls"), "ADD bridge\nADD railhead\n");
  EXPECT_TRUE(noSandboxes());
  EXPECT_EQ(free(), 3U);
}

TEST_F(KubeletTest, TheNamespaceMayVanishBeforeDel) {
  ASSERT_TRUE(rig_->kubelet().runPod(spec("a")).has_value());
  ASSERT_TRUE(rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kNetnsFirst).has_value());
  EXPECT_THAT(read("DEL.railhead.env"), HasSubstr("CNI_NETNS=\n"));
  EXPECT_TRUE(noSandboxes());
}

TEST_F(KubeletTest, AFailedAddIsUndoneAndExplained) {
  install("railhead",
          "cat >/dev/null; echo $CNI_COMMAND railhead >> " + rig_->root() +
              "/calls\n[ $CNI_COMMAND = ADD ] || exit 0\n"
              "echo '{\"cniVersion\": \"1.0.0\", \"code\": 11, \"msg\": \"no rail is free\", "
              "\"details\": \"set-0 is held\"}'; exit 1\n");
  const auto pod = rig_->kubelet().runPod(spec("a"));
  ASSERT_FALSE(pod.has_value());
  EXPECT_EQ(pod.error().code, ErrorCode::kCheckFailed);
  EXPECT_EQ(pod.error().message,
            "pod default/a: CNI ADD by railhead: code 11: no rail is free: set-0 is held");
  EXPECT_EQ(read("calls"), "ADD bridge\nADD railhead\nDEL railhead\nDEL bridge\n");
  EXPECT_FALSE(json::parse(read("DEL.bridge")).contains("prevResult"));
  EXPECT_TRUE(noSandboxes());
  EXPECT_EQ(free(), 3U);
  EXPECT_TRUE(rig_->kubelet().status().pods.empty());
}

TEST_F(KubeletTest, APluginThatFailsWithoutCniErrorIsQuoted) {
  install("bridge", "cat >/dev/null; echo 'it broke' >&2; exit 3\n");
  const auto pod = rig_->kubelet().runPod(spec("a"));
  ASSERT_FALSE(pod.has_value());
  EXPECT_THAT(pod.error().message, AllOf(HasSubstr("CNI ADD by bridge: exit code 3: 'it broke'"),
                                         HasSubstr("clean-up: CNI DEL by bridge")));
  install("bridge", "cat >/dev/null; echo nonsense\n");
  const auto odd = rig_->kubelet().runPod(spec("a"));
  ASSERT_FALSE(odd.has_value());
  EXPECT_EQ(odd.error().code, ErrorCode::kCorrupt);
}

TEST_F(KubeletTest, ARefusedDelKeepsThePodForAnotherTry) {
  ASSERT_TRUE(rig_->kubelet().runPod(spec("a")).has_value());
  install("railhead", "cat >/dev/null; echo '{\"code\": 999, \"msg\": \"agent is away\"}'; exit 1");
  const auto refused = rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kProperly);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("code 999: agent is away"));
  EXPECT_EQ(free(), 2U);
  EXPECT_FALSE(noSandboxes());
  install("railhead", "cat >/dev/null");
  EXPECT_TRUE(rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kProperly).has_value());
  EXPECT_TRUE(noSandboxes());
}

TEST_F(KubeletTest, OneTooManyWaits) {
  for (const char* name : {"a", "b", "c"}) {
    const auto pod = rig_->kubelet().runPod(spec(name));
    ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  }
  const auto fourth = rig_->kubelet().runPod(spec("d"));
  ASSERT_FALSE(fourth.has_value());
  EXPECT_EQ(fourth.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(fourth.error().message,
            "pod default/d waits: 1 nvidia.com/cx7_qsfp asked, 0 of 3 healthy ones are free");
  ASSERT_TRUE(rig_->kubelet().deletePod({"default", "b"}, DeleteMode::kProperly).has_value());
  const auto now = rig_->kubelet().runPod(spec("d"));
  ASSERT_TRUE(now.has_value()) << now.error().describe();
  EXPECT_THAT(now->devices.at(kResource), ElementsAre("set-1"));
}

TEST_F(KubeletTest, GivesNoUnhealthyDevice) {
  ASSERT_TRUE(server_->setDevices({{"set-0", false, {}}, {"set-1", true, {}}, {"set-2", false, {}}})
                  .has_value());
  ASSERT_TRUE(allocatable(1));
  const auto pod = rig_->kubelet().runPod(spec("a"));
  ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  EXPECT_THAT(pod->devices.at(kResource), ElementsAre("set-1"));
  EXPECT_FALSE(rig_->kubelet().runPod(spec("b")).has_value());
}

TEST_F(KubeletTest, ARefusedAllocationHoldsNothing) {
  ASSERT_TRUE(server_->setDevices({{"set-3", true, {}}}).has_value());
  ASSERT_TRUE(allocatable(1));
  const auto pod = rig_->kubelet().runPod(spec("a"));
  ASSERT_FALSE(pod.has_value());
  EXPECT_THAT(pod.error().message, HasSubstr("set-3 is being repaired"));
  EXPECT_EQ(free(), 1U);
  EXPECT_EQ(read("calls"), "");
}

TEST_F(KubeletTest, PodsWithoutDevicesAndTwins) {
  ASSERT_TRUE(rig_->kubelet().runPod(spec("plain", 0)).has_value());
  const auto twin = rig_->kubelet().runPod(spec("plain", 0));
  ASSERT_FALSE(twin.has_value());
  EXPECT_EQ(twin.error().code, ErrorCode::kAlreadyExists);
}

TEST_F(KubeletTest, SaysWhenThereIsNoNetwork) {
  std::filesystem::remove(rig_->cniConfigFolder() + "/00-railhead.conflist");
  const auto absent = rig_->kubelet().runPod(spec("a"));
  ASSERT_FALSE(absent.has_value());
  EXPECT_THAT(absent.error().message, AllOf(HasSubstr("'absent'"), HasSubstr("10-cilium")));
  std::filesystem::remove(rig_->cniConfigFolder() + "/10-cilium.conflist");
  const auto none = rig_->kubelet().runPod(spec("a"));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(none.error().message, HasSubstr("no CNI configuration"));
  configure("00-bad.conflist", "{");
  EXPECT_THAT(rig_->kubelet().runPod(spec("a")).error().message, HasSubstr("00-bad.conflist"));
  configure("00-bad.conflist", R"({"name": "n", "plugins": [{"type": "../sh"}]})");
  EXPECT_THAT(rig_->kubelet().runPod(spec("a")).error().message, HasSubstr("type"));
  EXPECT_TRUE(noSandboxes());
}

TEST_F(KubeletTest, PodsOutliveARestart) {
  ASSERT_TRUE(rig_->kubelet().runPod(spec("a", 2)).has_value());
  ASSERT_TRUE(rig_->kubelet().restart().has_value());
  ASSERT_TRUE(allocatable(3));
  EXPECT_EQ(free(), 1U);
  ASSERT_TRUE(rig_->kubelet().deletePod({"default", "a"}, DeleteMode::kProperly).has_value());
  EXPECT_EQ(free(), 3U);
}

TEST_F(KubeletTest, IsCommandedOverItsSocket) {
  const std::string path = rig_->root() + "/control.sock";
  auto server = ControlServer::start(path, rig_->kubelet());
  ASSERT_TRUE(server.has_value()) << server.error().describe();
  EXPECT_FALSE(ControlServer::start(path, rig_->kubelet()).has_value());  // one at a time
  const ControlClient client(path);
  ASSERT_TRUE(client.waitAllocatable(kResource, 3, seconds(5)).has_value());
  const auto late = client.waitAllocatable(kResource, 9, seconds(0));
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);

  const auto pod = client.runPod(R"({"name": "a", "resources": {"nvidia.com/cx7_qsfp": 1}})");
  ASSERT_TRUE(pod.has_value()) << pod.error().describe();
  EXPECT_EQ(json::parse(*pod)["env"]["RAIL"], "set-0");
  EXPECT_EQ(json::parse(*pod)["cni"]["interfaces"].size(), 2U);
  const auto door = client.enter("a");
  ASSERT_TRUE(door.has_value()) << door.error().describe();
  EXPECT_EQ(door->environment.at("RAIL"), "set-0");
  EXPECT_EQ(door->netns, json::parse(*pod)["netns"]);

  const auto status = client.status();
  ASSERT_TRUE(status.has_value());
  const json seen = json::parse(*status);
  EXPECT_EQ(seen["allocatable"][kResource], 3);
  EXPECT_EQ(seen["resources"][kResource]["free"], 2);
  EXPECT_EQ(seen["pods"][0]["devices"][kResource], json({"set-0"}));
  EXPECT_EQ(seen["resources"][kResource]["devices"][0]["pod"], "default/a");

  const auto wrong = client.runPod(R"({"name": "b", "resources": {"nvidia.com/cx7_qsfp": 9}})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kExhausted);
  ASSERT_TRUE(client.restart().has_value());
  ASSERT_TRUE(client.deletePod("a", DeleteMode::kProperly).has_value());
  EXPECT_FALSE(client.enter("a").has_value());
  server->reset();
  const auto gone = client.status();
  ASSERT_FALSE(gone.has_value());
  EXPECT_THAT(gone.error().remedy, HasSubstr("railhead-lab-kubelet serve"));
}

TEST_F(KubeletTest, TheControlSocketSurvivesNonsense) {
  const std::string path = rig_->root() + "/control.sock";
  auto server = ControlServer::start(path, rig_->kubelet());
  ASSERT_TRUE(server.has_value());
  for (const std::string frame : {"", "[", "[]", "{}", R"({"do": 3})", R"({"do": "dance"})",
                                  R"({"do": "wait", "resource": "r/x", "count": "many"})",
                                  R"({"do": "delete-pod", "pod": "a", "mode": "gently"})"}) {
    const auto connection = os::connectUnix(path, in(seconds(5)));
    ASSERT_TRUE(connection.has_value());
    ASSERT_TRUE(os::sendFrame(connection->get(), frame, in(seconds(5))).has_value());
    const auto answer = os::receiveFrame(connection->get(), in(seconds(5)));
    ASSERT_TRUE(answer.has_value()) << frame;
    EXPECT_TRUE(json::parse(*answer).contains("error")) << frame;
  }
}

}  // namespace
}  // namespace railhead::lab

// Pods by CRI, against a runtime with state in this process: what is asked of it and what is left.
#include "lab/kubelet/cri_runtime.h"

#include "lab/cri/cri_client.h"
#include "lab/kubelet/enter_pod.h"
#include "lab/testing/fake_cri.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class CriRuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path().string() + "/rh-cri-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    auto made = FakeCri::start(folder_);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    fake_ = std::move(*made);
    CriRuntime::Places places;
    places.socket = fake_->socket();
    places.image = "lab.railhead/node:1";
    places.programs = {{"/usr", "/usr", true}};
    places.cniResults = fake_->resultsFolder();
    places.cgroup = folder_ + "/cgroup";
    places.proc = folder_ + "/proc";
    fs::create_directories(places.cgroup + "/kubepods/poduid-1");
    fs::create_directories(places.proc);
    runtime_ = std::make_unique<CriRuntime>(places);
  }
  void TearDown() override {
    runtime_.reset();
    fake_.reset();
    fs::remove_all(folder_);
  }

  static Pod pod() {
    Pod one;
    one.uid = "uid-1";
    one.spec.name = {"default", "a"};
    one.spec.annotations = {{"k8s.v1.cni.cncf.io/networks", "dgx-qsfp"}};
    one.spec.env = {{"NCCL_DEBUG", "INFO"}};
    one.spec.command = {"sleep", "60"};
    one.spec.capabilities = {"IPC_LOCK"};
    one.allocation.env = {{"PCIDEVICE_X", "0000:01:10.0"}};
    one.allocation.mounts = {{"/etc/nccl.conf", "/run/railhead/nccl.conf", true}};
    one.allocation.deviceNodes = {{"/dev/infiniband", "/dev/infiniband", "rw"}};
    one.allocation.cdiDevices = {"nvidia.com/gpu=0"};
    return one;
  }
  Pod running() {
    Pod one = pod();
    EXPECT_TRUE(runtime_->setUp(one, plan_).has_value());
    EXPECT_TRUE(runtime_->start(one, plan_).has_value());
    return one;
  }

  const ContainerPlan plan_{"/var/log/pods", "default_a.log", {}};
  std::string folder_;
  std::unique_ptr<FakeCri> fake_;
  std::unique_ptr<CriRuntime> runtime_;
};

TEST_F(CriRuntimeTest, ASandboxHasTheAnnotationsAndACgroupOfItsPod) {
  Pod one = pod();
  ASSERT_TRUE(runtime_->setUp(one, plan_).has_value());
  ASSERT_EQ(fake_->sandboxes().size(), 1U);
  const auto [id, sandbox] = *fake_->sandboxes().begin();
  EXPECT_EQ(one.sandboxId, id);
  EXPECT_EQ(sandbox.annotations.at("k8s.v1.cni.cncf.io/networks"), "dgx-qsfp");
  EXPECT_EQ(sandbox.cgroupParent, "/kubepods/poduid-1");
  EXPECT_THAT(one.netns, HasSubstr("/netns/" + id));
  EXPECT_EQ(one.cniResult, R"({"interfaces":[]})");
}

TEST_F(CriRuntimeTest, AContainerGetsWhatWasAllocated) {
  running();
  ASSERT_EQ(fake_->containers().size(), 1U);
  const auto container = fake_->containers().begin()->second;
  EXPECT_TRUE(container.running);
  EXPECT_EQ(container.image, "lab.railhead/node:1");
  EXPECT_THAT(container.command, ElementsAre("sleep", "60"));
  EXPECT_EQ(container.environment.at("NCCL_DEBUG"), "INFO");
  EXPECT_EQ(container.environment.at("PCIDEVICE_X"), "0000:01:10.0");
  EXPECT_THAT(container.devices, ElementsAre("/dev/infiniband:/dev/infiniband:rw"));
  EXPECT_THAT(container.mounts,
              ElementsAre("/usr:/usr:ro", "/run/railhead/nccl.conf:/etc/nccl.conf:ro"));
  EXPECT_THAT(container.cdiDevices, ElementsAre("nvidia.com/gpu=0"));
  EXPECT_THAT(container.capabilities, ElementsAre("IPC_LOCK"));
  EXPECT_EQ(container.logPath, "default_a.log");
}

// As the node daemons of Kubernetes are described.
TEST_F(CriRuntimeTest, AContainerIsAsSecureAsItsPodSays) {
  const auto spec = parsePodSpec(R"({"kind": "Pod", "metadata": {"name": "daemon"}, "spec": {
    "hostNetwork": true,
    "volumes": [{"name": "state", "hostPath": {"path": "/run/x"}}, {"name": "shm", "emptyDir": {}}],
    "containers": [{"command": ["daemon"],
      "securityContext": {"readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        "seccompProfile": {"type": "RuntimeDefault"}},
      "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"},
        {"name": "state", "mountPath": "/state", "readOnly": true,
         "mountPropagation": "HostToContainer"}]}]}})");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  Pod one = pod();
  one.spec = *spec;
  one.allocation = {};
  ASSERT_TRUE(runtime_->setUp(one, plan_).has_value());
  EXPECT_EQ(one.netns, folder_ + "/proc/1/ns/net");
  EXPECT_EQ(one.cniResult, "");
  ASSERT_TRUE(runtime_->start(one, plan_).has_value());
  const auto container = fake_->containers().begin()->second;
  EXPECT_TRUE(container.hostNetwork);
  EXPECT_TRUE(container.readOnlyRoot);
  EXPECT_TRUE(container.runtimeSeccomp);
  EXPECT_THAT(container.droppedCapabilities, ElementsAre("ALL"));
  EXPECT_THAT(container.capabilities, ElementsAre("NET_ADMIN"));
  EXPECT_THAT(container.mounts, ElementsAre("/usr:/usr:ro", "/run/x:/state:ro:follows"));
  EXPECT_THAT(container.readOnlyPaths, testing::Contains("/proc/sys"));
}

TEST_F(CriRuntimeTest, TakingDownLeavesNothing) {
  const Pod one = running();
  EXPECT_EQ(runtime_->process(one), 4711);
  ASSERT_TRUE(runtime_->takeDown(one, DeleteMode::kProperly).has_value());
  EXPECT_TRUE(fake_->sandboxes().empty());
  EXPECT_TRUE(fake_->containers().empty());
  EXPECT_FALSE(fs::exists(folder_ + "/cgroup/kubepods/poduid-1"));
}

TEST_F(CriRuntimeTest, AnEndedCommandHasACode) {
  const Pod one = running();
  EXPECT_EQ(runtime_->exitCode(one), std::nullopt);
  fake_->endContainer(fake_->containers().begin()->first, 7);
  EXPECT_EQ(runtime_->exitCode(one), 7);
  EXPECT_EQ(runtime_->process(one), 0);
}

TEST_F(CriRuntimeTest, ARefusedSandboxSaysWhyAndIsDiscarded) {
  for (const bool leavesIt : {false, true}) {
    fake_->refuseSandboxes("plugin type=\"railhead-cni\" failed (add): try again", leavesIt);
    Pod one = pod();
    const auto refused = runtime_->setUp(one, plan_);
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().message, HasSubstr("CRI RunPodSandbox"));
    EXPECT_THAT(refused.error().message, HasSubstr("try again"));
    EXPECT_EQ(fake_->sandboxes().size(), leavesIt ? 1U : 0U);
    EXPECT_EQ(runtime_->discard(one), "");
    EXPECT_TRUE(fake_->sandboxes().empty());
  }
  fake_->refuseSandboxes("", false);
  running();
}

TEST_F(CriRuntimeTest, CleanUpDropsOnlyPodsThatAreGone) {
  running();
  Pod other = pod();
  other.uid = "uid-2";
  ASSERT_TRUE(runtime_->setUp(other, plan_).has_value());
  ASSERT_TRUE(runtime_->cleanUp({"uid-2"}).has_value());
  ASSERT_EQ(fake_->sandboxes().size(), 1U);
  EXPECT_EQ(fake_->sandboxes().begin()->second.uid, "uid-2");
}

TEST_F(CriRuntimeTest, TheClientReadsVersionAndConditions) {
  const CriClient client(fake_->socket());
  const auto version = client.version();
  ASSERT_TRUE(version.has_value()) << version.error().message;
  EXPECT_EQ(version->name, "fake");
  EXPECT_EQ(version->version, "1.2.3");
  fake_->setNetworkReady(false);
  const auto conditions = client.status();
  ASSERT_TRUE(conditions.has_value());
  ASSERT_EQ(conditions->size(), 2U);
  EXPECT_FALSE(conditions->at(1).holds);
  EXPECT_EQ(conditions->at(1).message, "no network config found");
  const auto absent = client.containerStatus("nosuch");
  ASSERT_FALSE(absent.has_value());
  EXPECT_EQ(absent.error().code, ErrorCode::kNotFound);
}

TEST_F(CriRuntimeTest, TheClientFindsARuntimeThatCameBack) {
  const CriClient client(fake_->socket());
  ASSERT_TRUE(client.version().has_value());
  fake_.reset();
  ASSERT_FALSE(client.version().has_value());
  auto again = FakeCri::start(folder_);
  ASSERT_TRUE(again.has_value());
  fake_ = std::move(*again);
  EXPECT_TRUE(client.version().has_value());
}

TEST(LogMarks, AreTakenOff) {
  EXPECT_EQ(withoutMarks("2026-01-01T00:00:00.1Z stdout F one two\n"
                         "2026-01-01T00:00:00.2Z stderr P half\n"
                         "2026-01-01T00:00:00.3Z stderr F  and half\n"),
            "one two\nhalf and half\n");
  EXPECT_EQ(withoutMarks(""), "");
  EXPECT_EQ(withoutMarks("no marks"), "");
}

}  // namespace
}  // namespace railhead::lab

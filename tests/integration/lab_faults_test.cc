// The real agent on a real kernel: killed, restarted, robbed of a namespace, told nonsense. One lab
// for all cases; each leaves the node as it found it.
#include "lab/demo/node_setup.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"
#include "tests/integration/lab_fixture.h"

#include <chrono>
#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

class LabFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    topology_ = new Topology(*loadTopology("two-sparks"));
    auto lab = BoundLab::start(*topology_, labOptions("faults"));
    ASSERT_TRUE(lab.has_value()) << lab.error().describe();
    lab_ = new BoundLab(std::move(*lab));
    const NodeShell node(lab_->client(), "spark-a");
    for (const auto& step : {installFiles(node, *topology_, 0), startKubelet(node),
                             startAgent(node), awaitAllocatable(node, 4)}) {
      ASSERT_TRUE(step.has_value())
          << step.error().message << join(node.lastLines("agent", 20), "\n");
    }
  }
  static void TearDownTestSuite() {
    delete lab_;
    delete topology_;
    lab_ = nullptr;
  }

  void SetUp() override {
    ASSERT_NE(lab_, nullptr) << "the lab did not start";
    before_ = links();
    ASSERT_THAT(before_, HasSubstr("enp1s0f0np0 "));
  }
  // Every case gives the node back as it was: links, names, MACs, MTUs.
  void TearDown() override {
    if (lab_ == nullptr) return;
    EXPECT_EQ(links(), before_) << join(node().lastLines("agent", 20), "\n");
  }

  static NodeShell node() { return {lab_->client(), "spark-a"}; }

  static std::string ask(const std::vector<std::string>& argv) {
    auto answer = node().run(argv);
    return answer.has_value() ? *answer : "failed: " + answer.error().message;
  }

  // Name, MAC and MTU of every link of the host namespace, without state that moves by itself.
  static std::string links() {
    return ask(
        {"sh", "-c",
         "cd /sys/class/net && for l in *; do echo $l $(cat $l/address) $(cat $l/mtu); done"});
  }

  static Json agentStatus() {
    return Json::parse(ask({"railhead-agent", "status"}), nullptr, false);
  }

  // Polls for at most 10 s; the time until it held, in seconds.
  double waitUntilLinksAreBack() const {
    const auto begun = std::chrono::steady_clock::now();
    double seconds = 0;
    while (links() != before_ && seconds < 10) {
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    }
    return seconds;
  }

  static Topology* topology_;
  static BoundLab* lab_;
  std::string before_;
};

Topology* LabFaults::topology_ = nullptr;
BoundLab* LabFaults::lab_ = nullptr;

TEST_F(LabFaults, ProvisioningAgainWritesNothing) {
  const std::vector<std::string> provision{"railhead-agent", "provision", "--config",
                                           "/run/railhead-lab/agent.yaml"};
  EXPECT_THAT(ask(provision), HasSubstr("another railhead-agent is at work"));
  ASSERT_TRUE(killAgent(node()).has_value());
  EXPECT_EQ(ask(provision), "nothing to do\n");
  ASSERT_TRUE(startAgent(node()).has_value());
}

TEST_F(LabFaults, AKilledAgentFindsItsPodsAgain) {
  ASSERT_TRUE(runPod(node(), 0).has_value());
  ASSERT_TRUE(killAgent(node()).has_value());
  ASSERT_TRUE(startAgent(node()).has_value());
  const auto again = awaitAllocatable(node(), 4);
  EXPECT_TRUE(again.has_value()) << again.error().message;
  const Json status = agentStatus();
  ASSERT_TRUE(status.is_object());
  ASSERT_EQ(status["attachments"].size(), 1U);
  EXPECT_EQ(status["attachments"][0]["rails"].size(), 2U);
  EXPECT_THAT(ask({"railhead-lab-kubelet", "exec", podName(0), "--", "ip", "-br", "addr"}),
              HasSubstr("10.100.0.1/24"));
  EXPECT_EQ(ask({"railhead-lab-kubelet", "delete-pod", podName(0)}), "");
}

TEST_F(LabFaults, VfsOfAVanishedNamespaceComeHome) {
  ASSERT_TRUE(runPod(node(), 0).has_value());
  EXPECT_NE(links(), before_);
  EXPECT_EQ(ask({"railhead-lab-kubelet", "delete-pod", podName(0), "--without-del"}), "");
  const double seconds = waitUntilLinksAreBack();
  EXPECT_LT(seconds, 10);
  std::printf("VFs of a vanished namespace were back after %.1f s\n", seconds);
}

TEST_F(LabFaults, DelAfterTheNamespaceIsGoneSucceeds) {
  ASSERT_TRUE(runPod(node(), 0).has_value());
  EXPECT_EQ(ask({"railhead-lab-kubelet", "delete-pod", podName(0), "--netns-first"}), "");
}

TEST_F(LabFaults, AnAgentThatIsAwayMakesPodsWaitAndNothingIsLost) {
  ASSERT_TRUE(killAgent(node()).has_value());
  EXPECT_THAT(ask({"sh", "-c", "railhead-lab-kubelet run-pod - <<'X'\n" + podSpec(0) + "\nX\n"}),
              HasSubstr("failed"));
  ASSERT_TRUE(startAgent(node()).has_value());
  ASSERT_TRUE(awaitAllocatable(node(), 4).has_value());
  ASSERT_TRUE(runPod(node(), 0).has_value());
  EXPECT_EQ(ask({"railhead-lab-kubelet", "delete-pod", podName(0)}), "");
}

TEST_F(LabFaults, FourPodsFillTheNodeAndTheFifthWaits) {
  for (std::size_t i = 0; i < 4; ++i) {
    const auto pod = runPod(node(), i);
    ASSERT_TRUE(pod.has_value()) << pod.error().message;
  }
  const auto fifth = runPod(node(), 4);
  ASSERT_FALSE(fifth.has_value());
  EXPECT_THAT(fifth.error().message, HasSubstr("waits"));
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(ask({"railhead-lab-kubelet", "delete-pod", podName(i)}), "");
}

TEST_F(LabFaults, AnotherVfCountIsRefusedWhileAPodHoldsOne) {
  ASSERT_TRUE(runPod(node(), 0).has_value());
  std::string fewer = agentConfig(*topology_, 0);
  for (auto at = fewer.find("vfs: 4"); at != std::string::npos; at = fewer.find("vfs: 4"))
    fewer.replace(at, 6, "vfs: 2");
  ASSERT_TRUE(node().writeFile("/tmp/fewer.yaml", fewer).has_value());
  ASSERT_TRUE(killAgent(node()).has_value());
  const std::string said = ask({"railhead-agent", "provision", "--config", "/tmp/fewer.yaml"});
  ASSERT_TRUE(startAgent(node()).has_value());
  EXPECT_THAT(said, HasSubstr("failed"));
  EXPECT_THAT(said, HasSubstr(podName(0)));
  EXPECT_EQ(trim(ask({"cat", "/sys/class/net/enp1s0f0np0/device/sriov_numvfs"})), "4");
  EXPECT_EQ(ask({"railhead-lab-kubelet", "delete-pod", podName(0)}), "");
}

TEST_F(LabFaults, AWrongConfigurationNamesTheFieldAndChangesNothing) {
  ASSERT_TRUE(node()
                  .writeFile("/tmp/bad.yaml", "version: 1\nprovision:\n  pfs:\n    - vfs: many\n")
                  .has_value());
  const auto refused = node().run({"railhead-agent", "provision", "--config", "/tmp/bad.yaml"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message,
              HasSubstr("/tmp/bad.yaml:4: provision.pfs[0].vfs is 'many'"));
  ASSERT_TRUE(
      node()
          .writeFile(
              "/tmp/none.yaml",
              "version: 1\nprovision:\n  pfs:\n    - select: {name: nosuch0}\n      vfs: 4\n")
          .has_value());
  EXPECT_THAT(ask({"railhead-agent", "provision", "--dry-run", "--config", "/tmp/none.yaml"}),
              HasSubstr("nosuch0"));
}

}  // namespace
}  // namespace railhead::lab

// A profile from its file to the containers that the kubelet stand-in makes, through the whole
// agent.
#include "lab/kubelet/rig.h"
#include "tests/support/agent_fixture.h"
#include "tests/support/tuned_profile.h"

#include <fstream>

#include <gmock/gmock.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kResource = "nvidia.com/cx7_qsfp";

class AgentProfileTest : public AgentFixture {
 protected:
  void SetUp() override {
    auto made = lab::KubeletRig::make();
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    rig_ = std::move(*made);
    AgentFixture::SetUp();
    paths_.kubeletPlugins = rig_->pluginsFolder();
    paths_.podResources = rig_->root() + "/pods";
    kernel_->memory().put(paths_.ncclTuner, "plugin");
    file_ = directory_ + "/profile.yaml";
    ASSERT_TRUE(rig_->kubelet().start().has_value());
    ASSERT_TRUE(rig_->installPlugin("bridge",
                                    "[ $CNI_COMMAND = ADD ] || exit 0\n"
                                    "echo '{\"cniVersion\": \"1.0.0\"}'\n")
                    .has_value());
    ASSERT_TRUE(rig_->writeFile(rig_->cniConfigFolder() + "/10-x.conflist",
                                R"({"name": "x", "cniVersion": "1.0.0",
                                    "plugins": [{"type": "bridge"}]})")
                    .has_value());
  }

  AgentConfig configured(const std::string& resource) const {
    return *parseConfig(
        "version: 1\nprovision: {pfs: [{vfs: 4}]}\ntwins: [[enp1s0f0np0, enP2p1s0f0np0]]\n"
        "resources: [{name: nvidia.com/cx7_qsfp" +
            resource + "}]\nprofile: {file: " + file_ + "}\n",
        "test.yaml");
  }
  void start() {
    auto made = Agent::create(configured(""), paths_,
                              {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_});
    ASSERT_TRUE(made.has_value()) << made.error().describe();
    agent_ = std::move(*made);
    const auto started = agent_->start();
    ASSERT_TRUE(started.has_value()) << started.error().describe();
    ASSERT_TRUE(rig_->kubelet().waitFor(
        [](const lab::KubeletStatus& status) {
          const auto found = status.resources.find(kResource);
          return found != status.resources.end() && found->second.allocatable == 4;
        },
        std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  }
  void write(const std::string& text) const {
    std::ofstream(file_ + ".new") << text;
    std::filesystem::rename(file_ + ".new", file_);
  }
  nlohmann::json profile() { return statusOf(*agent_)["profile"]; }
  bool becomes(const std::string& state) {
    return becomesTrue([&] { return profile().value("state", "") == state; });
  }
  lab::Pod pod(const std::string& name) {
    lab::PodSpec spec;
    spec.name.name = name;
    spec.resources[kResource] = 1;
    auto pod = rig_->kubelet().runPod(spec);
    EXPECT_TRUE(pod.has_value()) << pod.error().describe();
    return pod.has_value() ? std::move(*pod) : lab::Pod();
  }
  // As the fake kernel's functions are.
  static tune::Profile ofThisNode() {
    auto profile = testing_support::tunedProfile();
    profile.fabric.nics = {"8086:10ca", "8086:10ca"};
    profile.fabric.links = {"1 Gb/s", "1 Gb/s"};
    profile.fabric.mtu = 1500;
    return profile;
  }

  std::unique_ptr<lab::KubeletRig> rig_;
  std::string file_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentProfileTest, GoesIntoEveryContainerThatGetsRails) {
  start();
  EXPECT_EQ(profile(),
            (nlohmann::json{{"state", "none"}, {"detail", profile().value("detail", "")}}));
  const auto before = pod("before");
  EXPECT_THAT(before.allocation.mounts, IsEmpty());
  EXPECT_FALSE(before.allocation.env.contains("NCCL_CONF_FILE"));

  const std::string hash = tune::profileHash(ofThisNode());
  write(testing_support::profileText(ofThisNode()));
  ASSERT_TRUE(becomes("applied")) << profile();
  EXPECT_EQ(profile()["hash"], hash);
  EXPECT_THAT(profile().value("since", ""), HasSubstr("2025-11-24T"));
  const std::string folder = paths_.state + "/profile/" + hash;
  const auto tuned = pod("tuned");
  ASSERT_EQ(tuned.allocation.mounts.size(), 1U);
  EXPECT_EQ(tuned.allocation.mounts[0].hostPath, folder);
  EXPECT_EQ(tuned.allocation.mounts[0].containerPath, "/etc/railhead");
  EXPECT_TRUE(tuned.allocation.mounts[0].readOnly);
  EXPECT_EQ(tuned.allocation.env.at("NCCL_CONF_FILE"), "/etc/railhead/nccl.conf");
  EXPECT_EQ(tuned.allocation.env.at("NCCL_TUNER_PLUGIN"),
            "/etc/railhead/libnccl-tuner-railhead.so");
  EXPECT_EQ(*kernel_->files().readFile(folder + "/libnccl-tuner-railhead.so"), "plugin");

  write("no profile");
  ASSERT_TRUE(becomes("refused"));
  EXPECT_EQ(pod("still").allocation.mounts, tuned.allocation.mounts);

  // A resource for those who want none.
  ASSERT_TRUE(agent_->reconfigure(configured(", profile: false")).has_value());
  EXPECT_THAT(pod("plain").allocation.mounts, IsEmpty());
}

TEST_F(AgentProfileTest, OfAnotherFabricIsNotGivenAndSaysWhatDiffers) {
  write(testing_support::profileText(testing_support::tunedProfile()));
  start();
  EXPECT_EQ(profile().value("state", ""), "other-fabric");
  EXPECT_THAT(profile().value("detail", ""),
              HasSubstr("nics is '8086:10ca, 8086:10ca' here and '15b3:1021, 15b3:1021'"));
  EXPECT_THAT(pod("plain").allocation.mounts, IsEmpty());
}

}  // namespace
}  // namespace railhead::agent

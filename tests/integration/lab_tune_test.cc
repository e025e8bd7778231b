// The search on emulated nodes, whose rails carry 20 Mb/s each: two rails beat one, and the profile
// says for which fabric; the agent then puts it into the next pod.
#include "lab/demo/node_setup.h"
#include "lab/demo/scenario.h"
#include "lab/demo/stage.h"
#include "src/os/process.h"
#include "src/tune/profile.h"
#include "tests/integration/lab_fixture.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;

class LabTune : public testing::Test {
 protected:
  LabTune()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-lab-tune-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~LabTune() override { std::filesystem::remove_all(folder_); }

  // From a file on the node to the next pod: its environment and its mounts.
  static void deliver(const NodeShell& node, const Topology& topology, const std::string& profile) {
    constexpr const char* kFile = "/run/railhead-lab/profile.yaml";
    ASSERT_TRUE(node.writeFile(kFile, profile).has_value());
    ASSERT_TRUE(node.writeFile("/run/railhead-lab/agent.yaml",
                               agentConfig(topology, 0) + "profile: {file: " + kFile + "}\n")
                    .has_value());
    ASSERT_TRUE(killAgent(node).has_value());
    ASSERT_TRUE(startAgent(node).has_value());
    Json state;
    for (int look = 0; look < 100 && state["state"] != "applied"; ++look) {
      const auto status = node.run({"railhead-agent", "status"});
      if (status.has_value()) state = Json::parse(*status, nullptr, false)["profile"];
    }
    ASSERT_EQ(state["state"], "applied") << state.dump();
    ASSERT_TRUE(awaitAllocatable(node, 4).has_value());
    ASSERT_TRUE(node.run({"railhead-lab-kubelet", "delete-pod", podName(0)}).has_value());
    const auto said = runPod(node, 0);
    ASSERT_TRUE(said.has_value()) << said.error().message;
    const Json pod = Json::parse(*said, nullptr, false);
    EXPECT_EQ(pod["env"]["NCCL_CONF_FILE"], "/etc/railhead/nccl.conf") << *said;
    EXPECT_NE(pod["mounts"].dump().find("/run/railhead/profile/"), std::string::npos) << *said;
  }

  std::filesystem::path folder_;
};

TEST_F(LabTune, TwoRailsBeatOne) {
  const auto topology = loadTopology("two-sparks").value();
  const auto lab = BoundLab::start(topology, labOptions("tune"));
  ASSERT_TRUE(lab.has_value()) << lab.error().describe();
  const auto histogram = (folder_ / "sizes").string();
  std::ofstream(histogram) << "all_reduce 262144 1\n";
  const auto out = (folder_ / "profile.yaml").string();
  os::ProcessSpec spec;
  spec.argv = {builtProgram("railhead"),
               "tune",
               "--on",
               "lab",
               "--lab",
               "tune",
               "--backend",
               "host",
               "--transport",
               "verbs",
               "--objective",
               "histogram=" + histogram,
               "--repetitions",
               "3",
               "--restarts",
               "0",
               "--minutes",
               "8",
               "--call-timeout",
               "20",
               "--out",
               out,
               "--json"};
  spec.deadline = std::chrono::seconds(840);
  const auto result = os::SystemProcessRunner().run(spec);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  ASSERT_EQ(result->exitCode, 0) << result->errorOutput;
  const Json found = Json::parse(result->output, nullptr, false);
  ASSERT_TRUE(found.is_object()) << result->output;
  EXPECT_NE(found["end"], "interrupted");
  // What is not the default stays by a fresh run alone.
  const bool changed = !found["environment"].empty() || !found["table"].empty();
  EXPECT_TRUE(found["validated"].get<bool>() || !(changed || found["better"].get<bool>()))
      << result->output;
  std::printf("effects: %s\n", found["effects"].dump(1).substr(0, 3000).c_str());
  bool looked = false;
  for (const auto& effect : found["effects"]) {
    if (effect["step"] != "rails=1") continue;
    looked = true;
    // Both rails are the default: one alone carries little more than half. The screening gives it
    // two pairs, whose interval need not exclude 1: what it is used for is the profile below.
    EXPECT_LT(effect["gain"]["factor"].get<double>(), 0.8);
  }
  EXPECT_TRUE(looked) << "one rail was not tried";

  std::ostringstream yaml;
  yaml << std::ifstream(out).rdbuf();
  const auto profile = tune::parseProfile(yaml.str(), out);
  ASSERT_TRUE(profile.has_value()) << profile.error().describe();
  EXPECT_EQ(profile->fabric.nodes, 2U);
  EXPECT_EQ(profile->fabric.nics.size(), 2U);
  EXPECT_NE(profile->environment.value("rails"), "1");
  deliver(NodeShell(lab->client(), "spark-a"), topology, yaml.str());
}

}  // namespace
}  // namespace railhead::lab

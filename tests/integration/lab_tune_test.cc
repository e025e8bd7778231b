// The search on emulated nodes, whose rails carry 20 Mb/s each: two rails beat one, and the profile
// says for which fabric.
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
  EXPECT_EQ(found["validated"], true);
  std::printf("effects: %s\n", found["effects"].dump(1).substr(0, 3000).c_str());
  bool looked = false;
  for (const auto& effect : found["effects"]) {
    if (effect["step"] != "rails=1") continue;
    looked = true;
    // Both rails are the default: one alone is slower, and its interval says so.
    EXPECT_LT(effect["gain"]["high95"].get<double>(), 1.0);
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
}

}  // namespace
}  // namespace railhead::lab

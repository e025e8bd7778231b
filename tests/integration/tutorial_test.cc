// Runs every command of docs/tutorial.md, in its order, as a newcomer does. The two nodes are this
// machine: a stand-in for ssh starts what it is told here.
#include "src/os/process.h"
#include "tests/support/documented_fields.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead {
namespace {

using testing::HasSubstr;

constexpr char kSsh[] = R"SH(#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
echo "$1" >>"$TUTORIAL_HOSTS"
shift
exec sh -c "$(printf %s "$1" | sed "s/MASTER_ADDR=spark-a/MASTER_ADDR=127.0.0.1/")"
)SH";

// What stands between "```sh" and "```".
std::vector<std::string> commandBlocks(const std::string& markdown) {
  std::vector<std::string> out;
  std::istringstream lines(markdown);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (!inside && line == "```sh") {
      inside = true;
      out.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      out.back() += line + "\n";
    }
  }
  return out;
}

class Tutorial : public testing::Test {
 protected:
  Tutorial()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-tutorial-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_ / "bin");
    std::filesystem::create_symlink(RAILHEAD_PROGRAM, folder_ / "bin/railhead");
    std::ofstream(folder_ / "bin/ssh") << kSsh;
    std::filesystem::permissions(folder_ / "bin/ssh", std::filesystem::perms::owner_all);
  }
  ~Tutorial() override { std::filesystem::remove_all(folder_); }

  std::string path(const char* name) const { return (folder_ / name).string(); }
  os::ProcessResult shell(const std::string& commands) const {
    os::ProcessSpec spec;
    spec.argv = {"sh", "-c",
                 "cd '" + folder_.string() + "' && export PATH='" + path("bin") +
                     "':\"$PATH\" TUTORIAL_HOSTS='" + path("hosts") + "' && set -e\n" + commands};
    spec.deadline = std::chrono::seconds(120);
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }

  std::filesystem::path folder_;
};

TEST_F(Tutorial, EveryCommandDoesWhatThePageSays) {
  if (std::system("python3 -c '' 2>/dev/null") != 0)  // NOLINT: one thread
    GTEST_SKIP() << "there is no python3 on this machine, which the tutorial's trainer needs";
  const auto blocks = commandBlocks(testing_support::readText(RAILHEAD_SOURCE "/docs/tutorial.md"));
  ASSERT_EQ(blocks.size(), 9U);
  std::vector<std::string> said;
  for (const auto& block : blocks) {
    const auto result = shell(block);
    ASSERT_EQ(result.exitCode, 0) << block << result.output << result.errorOutput;
    said.push_back(result.output + result.errorOutput);
  }
  EXPECT_THAT(said[0], HasSubstr("verdict: "));
  EXPECT_THAT(said[2], HasSubstr("runs/pair-0001: finished"));
  EXPECT_THAT(said[3], HasSubstr("pair-0001"));
  EXPECT_THAT(said[3], HasSubstr("y = 2."));
  EXPECT_THAT(said[4], HasSubstr("rank 1 (node spark-b) ended with signal 9: about to die"));
  EXPECT_THAT(said[4], HasSubstr("from the checkpoint of step 30"));
  EXPECT_THAT(said[5], HasSubstr("bitwise equal (60 losses, 6 checkpoints)"));
  EXPECT_THAT(said[5], HasSubstr("environment.CRASH_AT"));
  EXPECT_THAT(said[6], HasSubstr("bitwise equal"));
  EXPECT_THAT(said[7], HasSubstr("first at step 1, the loss of rank 0"));
  EXPECT_THAT(said[7], HasSubstr("seed: 1 and 2"));
  EXPECT_THAT(said[7], HasSubstr("exit code 3"));
  EXPECT_THAT(testing_support::readText(path("pair.yaml")), HasSubstr("completionMode: Indexed"));
  // It was by ssh, to both.
  EXPECT_THAT(testing_support::readText(path("hosts")), HasSubstr("spark-a\n"));
  EXPECT_THAT(testing_support::readText(path("hosts")), HasSubstr("spark-b\n"));
}

}  // namespace
}  // namespace railhead

// The agent as a person starts it: a process, on a recorded node. What it does there is tested
// beside its code; this is for what only a whole program shows: that it links, starts and answers,
// on each architecture it is built for.
#include "src/os/process.h"
#include "tests/support/tree.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead {
namespace {

using testing::HasSubstr;

class AgentProgram : public testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/railhead-agent-program-XXXXXX";
    ASSERT_NE(::mkdtemp(directory), nullptr);
    directory_ = directory;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  os::ProcessResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), RAILHEAD_AGENT);
    auto result = os::SystemProcessRunner().run({.argv = std::move(arguments)});
    EXPECT_TRUE(result.has_value());
    return result.has_value() ? *result : os::ProcessResult{-1, "", ""};
  }

  std::string directory_;
};

TEST_F(AgentProgram, TellsItsVersionAndUsage) {
  const auto version = run({"--version"});
  EXPECT_EQ(version.exitCode, 0) << version.errorOutput;
  EXPECT_THAT(version.output, HasSubstr(RAILHEAD_VERSION));
  const auto help = run({"--help"});
  EXPECT_EQ(help.exitCode, 0);
  EXPECT_THAT(help.output, HasSubstr("check-config"));
  EXPECT_EQ(run({"--no-such-option"}).exitCode, 2);
}

TEST_F(AgentProgram, ChecksAConfiguration) {
  std::ofstream(directory_ + "/good.yaml") << "version: 1\nnode: {ordinal: 1}\n";
  const auto good = run({"check-config", "--config", directory_ + "/good.yaml"});
  EXPECT_EQ(good.exitCode, 0) << good.errorOutput;
  std::ofstream(directory_ + "/bad.yaml") << "version: 2\n";
  const auto bad = run({"check-config", "--config", directory_ + "/bad.yaml"});
  EXPECT_EQ(bad.exitCode, 2);
  EXPECT_THAT(bad.errorOutput, HasSubstr("version"));
}

TEST_F(AgentProgram, DrawsARecordedNode) {
  const auto tree = testing_support::readTree("spark");
  ASSERT_TRUE(tree.has_value()) << tree.error().message;
  ASSERT_TRUE(testing_support::writeTree(*tree, directory_).has_value());
  const auto seen = run({"discover", "--root", directory_, "--json"});
  EXPECT_EQ(seen.exitCode, 0) << seen.errorOutput;
  EXPECT_THAT(seen.output, HasSubstr("spark-a"));
  EXPECT_THAT(seen.output, HasSubstr("0000:01:00.0"));
}

}  // namespace
}  // namespace railhead

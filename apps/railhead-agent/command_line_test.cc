#include "apps/railhead-agent/command_line.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::agent_app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Outcome {
  ExitCode code;
  std::string out;
  std::string err;
};

Outcome run(const std::vector<std::string>& words) {
  std::vector<std::string> args{"railhead-agent"};
  args.insert(args.end(), words.begin(), words.end());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const ExitCode code = runCommandLine(args);
  std::cout.flush();
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

TEST(AgentCommandLine, EveryHelpHasAnExample) {
  EXPECT_THAT(run({"--help"}).out, HasSubstr("railhead-agent run --config"));
  for (const char* part : {"run", "discover", "provision", "labels", "check-config", "status",
                           "probe", "check-cni", "uninstall-cni", "profile"}) {
    const Outcome help = run({part, "--help"});
    EXPECT_EQ(help.code, ExitCode::kOk) << part;
    EXPECT_THAT(help.out, HasSubstr("Example:\n  railhead-agent " + std::string(part))) << part;
  }
}

TEST(AgentCommandLine, BadUsageIsExitTwoAndNamed) {
  const Outcome unknown = run({"nosuch"});
  EXPECT_EQ(unknown.code, ExitCode::kUsage);
  EXPECT_THAT(
      unknown.err,
      StartsWith("railhead-agent: 'nosuch' is no command; allowed: run, discover, "
                 "provision, labels, check-config, status, probe, check-cni, uninstall-cni, "
                 "profile, completion\n"));
  EXPECT_EQ(run({}).code, ExitCode::kUsage);
  const Outcome option = run({"discover", "--nosuch"});
  EXPECT_EQ(option.code, ExitCode::kUsage);
  EXPECT_THAT(option.err, StartsWith("railhead-agent: discover: '--nosuch' is no option of it"));
}

TEST(AgentCommandLine, NoFolderOfProgramsIsEmpty) {
  for (const char* folders : {":", "/opt/cni/bin:", ":/opt/cni/bin", "/a::/b"}) {
    const Outcome empty = run({"check-cni", "--cni-bin", folders});
    EXPECT_EQ(empty.code, ExitCode::kUsage) << folders;
    EXPECT_THAT(empty.err, StartsWith("railhead-agent: --cni-bin is '" + std::string(folders) +
                                      "'; allowed: folders with ':' between them\n  remedy: "));
    EXPECT_EQ(empty.out, "");
  }
}

TEST(AgentCommandLine, LabelsOfAMachineWithoutAGpuAreNone) {
  const Outcome labels = run({"labels", "--json"});
  if (labels.err.empty()) GTEST_SKIP() << "this machine has a GPU driver";
  EXPECT_EQ(labels.code, ExitCode::kOk);
  EXPECT_EQ(labels.out, "{}\n");
  EXPECT_THAT(labels.err, HasSubstr("no GPU driver: "));
}

TEST(AgentCommandLine, CompletionKnowsEveryCommand) {
  const Outcome bash = run({"completion", "bash"});
  EXPECT_EQ(bash.code, ExitCode::kOk);
  for (const char* part : {"run", "discover", "provision", "labels", "check-config", "status"}) {
    EXPECT_THAT(bash.out, HasSubstr("'" + std::string(part) + "'")) << part;
  }
}

TEST(AgentCommandLine, ARootThatIsNoNodesIsExitTwoWithARemedy) {
  std::string empty = testing::TempDir() + "no-node-XXXXXX";
  ASSERT_NE(::mkdtemp(empty.data()), nullptr);
  for (const std::string& root : {std::string("/nowhere/at/all"), empty}) {
    const Outcome bad = run({"discover", "--root", root});
    EXPECT_EQ(bad.code, ExitCode::kUsage);
    EXPECT_THAT(bad.err, HasSubstr("--root '" + root + "'"));
    EXPECT_THAT(bad.err, HasSubstr("\n  remedy: "));
  }
  std::filesystem::remove_all(empty);
}

TEST(AgentCommandLine, NoAgentIsExitFour) {
  const std::string state = testing::TempDir() + "no-agent-" + std::to_string(::getpid());
  ASSERT_FALSE(std::filesystem::exists(state));
  const Outcome status = run({"status", "--state", state});
  EXPECT_EQ(status.code, ExitCode::kEnvironment);
  EXPECT_THAT(status.err, HasSubstr(state));
  EXPECT_THAT(status.err, HasSubstr("start railhead-agent"));
}

TEST(AgentCommandLine, RollsAProfileBackAndResumesIt) {
  std::string state = testing::TempDir() + "rh-shelf-XXXXXX";
  ASSERT_NE(mkdtemp(state.data()), nullptr);
  const std::string now(64, 'a');
  const std::string before(64, 'b');
  const auto profile = [&](const char* what) { return run({"profile", what, "--state", state}); };
  EXPECT_THAT(profile("show").out, HasSubstr("current    none\n"));
  const Outcome nothing = profile("rollback");
  EXPECT_EQ(nothing.code, ExitCode::kFailed);
  EXPECT_THAT(nothing.err, HasSubstr("no profile is in force on this node"));

  std::filesystem::create_directories(state + "/profile");
  std::ofstream(state + "/profile/record")
      << "current " << now << "\nprevious " << before << "\nsince 1764000000\n";
  EXPECT_THAT(profile("show").out, HasSubstr("current    " + now + " since 2025-11-24T16:00:00"));
  const Outcome back = profile("rollback");
  EXPECT_EQ(back.code, ExitCode::kOk);
  EXPECT_THAT(back.out, HasSubstr("new containers get: " + before));
  EXPECT_THAT(run({"profile", "show", "--json", "--state", state}).out,
              HasSubstr("\"set_aside\": \"" + now + "\""));
  EXPECT_THAT(profile("resume").out, HasSubstr("no longer set aside: " + now));
  EXPECT_THAT(profile("show").out, HasSubstr("set aside  none\n"));
  EXPECT_EQ(run({"profile"}).code, ExitCode::kUsage);
  std::filesystem::remove_all(state);
}

}  // namespace
}  // namespace railhead::agent_app

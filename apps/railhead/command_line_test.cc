#include "apps/railhead/command_line.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::app {
namespace {

using testing::HasSubstr;

struct Outcome {
  ExitCode code;
  std::string out;
  std::string err;
};

Outcome run(std::vector<std::string> args) {
  args.insert(args.begin(), "railhead");
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, "railhead"};
  const ExitCode code = runCommandLine(args, context);
  return {code, out.str(), err.str()};
}

TEST(CommandLine, HelpAndVersionSucceed) {
  EXPECT_EQ(run({"--help"}).code, ExitCode::kOk);
  EXPECT_THAT(run({"--help"}).out, HasSubstr("Exit codes"));
  EXPECT_EQ(run({"--version"}).code, ExitCode::kOk);
}

TEST(CommandLine, BadUsageIsExitTwoAndNamed) {
  EXPECT_EQ(run({}).code, ExitCode::kUsage);
  const Outcome unknown = run({"frobnicate"});
  EXPECT_EQ(unknown.code, ExitCode::kUsage);
  EXPECT_THAT(unknown.err, HasSubstr("frobnicate"));
  EXPECT_EQ(run({"completion", "tcsh"}).code, ExitCode::kUsage);
}

TEST(CommandLine, CompletionKnowsEveryCommand) {
  const Outcome bash = run({"completion", "bash"});
  EXPECT_EQ(bash.code, ExitCode::kOk);
  EXPECT_THAT(bash.out, HasSubstr("\"\") words=\""));
  EXPECT_THAT(bash.out, HasSubstr("completion "));
}

TEST(CommandLine, ErrorsCarryTheRemedyAndTheExitCode) {
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, "railhead"};
  fail(context, Error(ErrorCode::kEnvironment, "qemu is missing", "run ./dev setup"));
  EXPECT_EQ(context.exitCode, ExitCode::kEnvironment);
  EXPECT_EQ(err.str(), "railhead: qemu is missing\n  remedy: run ./dev setup\n");
}

}  // namespace
}  // namespace railhead::app

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

Outcome run(const std::vector<std::string>& words) {
  std::vector<std::string> args{"railhead"};
  args.insert(args.end(), words.begin(), words.end());
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
  EXPECT_THAT(unknown.err,
              testing::StartsWith("railhead: 'frobnicate' is no command; allowed: "
                                  "demo, lab, bench, verify, tune, train, doctor, status, report, "
                                  "completion\n"));
  const Outcome below = run({"lab", "nosuch"});
  EXPECT_EQ(below.code, ExitCode::kUsage);
  EXPECT_THAT(below.err, testing::StartsWith("railhead: lab: 'nosuch' is no command; allowed: up, "
                                             "status, exec, logs, link, down\n"));
  EXPECT_EQ(run({"completion", "tcsh"}).code, ExitCode::kUsage);
}

// README: every command has --help with an example.
TEST(CommandLine, EveryHelpHasAnExample) {
  for (const auto& [words, example] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "railhead demo --out"},
           {{"demo"}, "railhead demo --out"},
           {{"lab"}, "railhead lab up"},
           {{"bench"}, "railhead bench verbs --listen"},
           {{"bench", "verbs"}, "railhead bench verbs --listen"},
           {{"report"}, "railhead report verify.json"},
           {{"train"}, "railhead train run run.yaml"},
           {{"train", "run"}, "railhead train run run.yaml --on ssh:"},
           {{"train", "resume"}, "railhead train resume pair-0001"},
           {{"train", "replay"}, "railhead train replay pair-0001"},
           {{"train", "compare"}, "railhead train compare runs/"},
           {{"train", "list"}, "railhead train list"},
           {{"train", "logs"}, "railhead train logs pair-0001 --rank 1"},
           {{"train", "stop"}, "railhead train stop pair-0001"},
           {{"completion"}, "railhead completion bash"}}) {
    auto args = words;
    args.emplace_back("--help");
    const Outcome help = run(args);
    EXPECT_EQ(help.code, ExitCode::kOk) << example;
    EXPECT_THAT(help.out, testing::ContainsRegex("Examples?:\n"));
    EXPECT_THAT(help.out, HasSubstr(example));
  }
}

TEST(CommandLine, CompletionKnowsEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome script = run({"completion", shell});
    EXPECT_EQ(script.code, ExitCode::kOk);
    for (const char* path :
         {"demo",       "lab",        "lab up",       "lab status",   "lab exec",      "lab logs",
          "lab link",   "lab down",   "bench",        "bench verbs",  "status",        "report",
          "train",      "train run",  "train resume", "train replay", "train compare", "train list",
          "train logs", "train stop", "completion"}) {
      EXPECT_THAT(script.out, HasSubstr("'" + std::string(path) + "'")) << shell;
    }
  }
}

// Left out without a word it would seem to have been heeded.
TEST(CommandLine, AnOptionOfAnotherPlaceIsRefused) {
  for (const auto& [option, place] :
       std::vector<std::pair<std::string, std::string>>{{"--ranks", "kubernetes"},
                                                        {"--image", "kubernetes"},
                                                        {"--namespace", "kubernetes"},
                                                        {"--network", "kubernetes"},
                                                        {"--resource", "kubernetes"},
                                                        {"--runtime-class", "kubernetes"},
                                                        {"--lab", "lab"}}) {
    for (const auto& command : std::vector<std::vector<std::string>>{
             {"verify"}, {"bench", "collectives"}, {"tune"}, {"tune", "grid", "--out", "x"}}) {
      auto words = command;
      words.insert(words.end(), {"--on", "local:2", option, "2"});
      const Outcome refused = run(words);
      EXPECT_EQ(refused.code, ExitCode::kUsage) << option;
      EXPECT_THAT(refused.err, HasSubstr(option + ": it is of --on " + place + " alone"));
    }
  }
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

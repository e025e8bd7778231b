#include "apps/usage/command_line.h"
#include "apps/usage/command_tree.h"
#include "apps/usage/completion.h"
#include "apps/usage/values.h"
#include "src/os/process.h"

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::usage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A program of the usual shape: commands below a command, a hidden one, a group of options.
class Usage : public testing::Test {
 protected:
  Usage() {
    app_.require_subcommand(0, 1);
    auto* lab = app_.add_subcommand("lab", "Nodes");
    lab->require_subcommand(0, 1);
    auto* up = lab->add_subcommand("up", "Boot");
    up->add_option("--deadline", deadline_, "seconds")->check(CLI::Range(1, 10));
    up->add_option("--accel", node_, "how")->check(CLI::IsMember({"tcg", "kvm"}));
    up->add_option("--bytes", bytes_, "how much");
    up->add_flag("--json", json_, "as JSON");
    up->add_option("--seat", node_, "not for people")->group("");
    up->final_callback([this] { ++ran_; });
    lab->add_subcommand("keeper", "Hidden")->group("");
    auto* logs = lab->add_subcommand("logs", "Console");
    logs->add_option("node", node_, "the node")->required();
    auto* bench = app_.add_subcommand("bench", "Measure");
    auto* ends = bench->add_option_group("ends", "which end");
    ends->add_option("--listen", node_, "here");
    ends->add_option("--connect", node_, "there");
    ends->require_option(1);
    addCompletionCommand(app_, out_);
  }

  std::optional<ExitCode> run(std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    words.insert(words.begin(), "tool-x");
    return parseCommandLine(app_, words, out_, err_);
  }
  std::string refusal(const std::vector<std::string>& words) {
    EXPECT_EQ(run(words), ExitCode::kUsage);
    EXPECT_EQ(out_.str(), "");
    return err_.str();
  }

  int deadline_ = 0;
  std::size_t bytes_ = 0;
  bool json_ = false;
  int ran_ = 0;
  std::string node_;
  std::ostringstream out_;
  std::ostringstream err_;
  CLI::App app_{"A tool", "tool-x"};
};

TEST_F(Usage, ACommandRunsAndAHelpSucceeds) {
  EXPECT_EQ(run({"lab", "up", "--deadline", "3"}), std::nullopt);
  EXPECT_EQ(ran_, 1);
  EXPECT_EQ(deadline_, 3);
  EXPECT_EQ(run({"lab", "--help"}), ExitCode::kOk);
  EXPECT_THAT(out_.str(), HasSubstr("logs"));
  EXPECT_EQ(ran_, 1);
}

TEST_F(Usage, ARefusalNamesTheProgramTheWordAndWhatIsAllowed) {
  EXPECT_EQ(refusal({"nosuch"}),
            "tool-x: 'nosuch' is no command; allowed: lab, bench, completion\n"
            "  remedy: see tool-x --help\n");
  EXPECT_EQ(refusal({"lab", "nosuch"}),
            "tool-x: lab: 'nosuch' is no command; allowed: up, logs\n"
            "  remedy: see tool-x lab --help\n");
  EXPECT_EQ(refusal({}),
            "tool-x: a command is needed; allowed: lab, bench, completion\n"
            "  remedy: see tool-x --help\n");
  EXPECT_THAT(refusal({"lab"}), HasSubstr("tool-x: lab: a command is needed; allowed: up, logs\n"));
  EXPECT_THAT(refusal({"lab", "up", "now"}),
              HasSubstr("tool-x: lab up: 'now' is not expected; allowed: options only\n"));
  EXPECT_THAT(refusal({"lab", "logs", "--all"}),
              HasSubstr("tool-x: lab logs: '--all' is no option of it; allowed: --help\n"));
  EXPECT_THAT(refusal({"lab", "logs"}), HasSubstr("tool-x: lab logs: node is required\n"));
  EXPECT_THAT(refusal({"lab", "logs", "--"}), HasSubstr("tool-x: lab logs: node is required\n"));
  EXPECT_THAT(refusal({"lab", "up", "--deadline", "77"}),
              testing::AllOf(testing::StartsWith("tool-x: lab up: --deadline"), HasSubstr("77"),
                             HasSubstr("10")));
  EXPECT_THAT(refusal({"bench"}),
              testing::AllOf(testing::StartsWith("tool-x: bench: "), HasSubstr("--listen")));
  EXPECT_EQ(ran_, 0);
}

TEST_F(Usage, TheTreeHasEveryCommandAndNoHiddenOne) {
  const auto tree = commandTree(app_);
  EXPECT_THAT(tree.at(""), ElementsAre("lab", "bench", "completion", "--help"));
  EXPECT_THAT(tree.at("lab up"),
              ElementsAre("--help", "--deadline", "--accel", "--bytes", "--json"));
  EXPECT_THAT(tree.at("completion"), ElementsAre("--help", "bash", "zsh", "fish"));
  EXPECT_THAT(optionValues(app_),
              ElementsAre(testing::Pair("lab up --accel", ElementsAre("tcg", "kvm"))));
  EXPECT_THAT(tree.at("bench"), ElementsAre("--help", "--listen", "--connect"));
  EXPECT_EQ(tree.count("lab keeper"), 0U);
}

// The words bash offers for a line, by running the script in it.
TEST_F(Usage, BashTakesTheScriptAndCompletesWithIt) {
  ASSERT_EQ(run({"completion", "bash"}), std::nullopt);
  const std::string script = out_.str();
  os::SystemProcessRunner runner;
  const auto ran = [&](const std::string& text, std::vector<std::string> flags) {
    os::ProcessSpec spec;
    spec.argv = {"bash"};
    spec.argv.insert(spec.argv.end(), flags.begin(), flags.end());
    spec.input = text;
    auto result = runner.run(spec);
    EXPECT_TRUE(result.has_value());
    EXPECT_EQ(result->exitCode, 0) << result->errorOutput;
    EXPECT_EQ(result->errorOutput, "");
    return result->output;
  };
  ran(script, {"-n"});
  const auto offered = [&](const std::string& words, int at) {
    return ran(script + "COMP_WORDS=(tool-x " + words + ")\nCOMP_CWORD=" + std::to_string(at) +
                   "\n_tool_x\necho \"${COMPREPLY[*]}\"\n",
               {});
  };
  EXPECT_EQ(offered("''", 1), "lab bench completion\n");
  EXPECT_EQ(offered("--h", 1), "--help\n");
  // Nothing: bash offers files there.
  EXPECT_EQ(offered("lab up ''", 3), "\n");
  EXPECT_EQ(offered("lab up --deadline ''", 4), "\n");
  EXPECT_EQ(offered("lab up --deadline = ''", 5), "\n");
  EXPECT_EQ(offered("lab u", 2), "up\n");
  EXPECT_EQ(offered("lab up --deadline 3 --d", 5), "--deadline\n");
  EXPECT_EQ(offered("lab logs spark-a --", 4), "--help\n");
  EXPECT_EQ(offered("lab up --accel ''", 4), "tcg kvm\n");
  EXPECT_EQ(offered("lab up --accel = k", 5), "kvm\n");
  EXPECT_EQ(offered("lab up --accel =", 4), "tcg kvm\n");
  EXPECT_EQ(offered("lab up --accel tcg --s", 5), "\n");
  EXPECT_EQ(offered("completion z", 2), "zsh\n");
}

TEST_F(Usage, APathInAWorkingFolderThatIsGoneIsAnError) {
  EXPECT_EQ(absolutePath("/a/../b/./c").value(), "/b/c");
  EXPECT_EQ(absolutePath("x").value(), std::filesystem::current_path().string() + "/x");
  std::string folder = testing::TempDir() + "rh-usage-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  std::filesystem::remove(folder);
  const auto gone = absolutePath("runs");
  std::filesystem::current_path(before);
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(gone.error().message, HasSubstr("'runs' begins in the working folder"));
}

TEST_F(Usage, WhatTheLibraryFindsWrongIsToldInOurWords) {
  EXPECT_THAT(refusal({"lab", "up", "--accel"}), HasSubstr("lab up: --accel needs a value\n"));
  EXPECT_THAT(refusal({"lab", "up", "--accel", "tcg", "--accel", "kvm"}),
              HasSubstr("lab up: --accel is given 2 times; allowed: once\n"));
  EXPECT_THAT(refusal({"lab", "up", "--bytes", "many"}),
              HasSubstr("lab up: --bytes is 'many'; allowed: a whole number from 0\n"));
  EXPECT_THAT(refusal({"lab", "up", "--json=maybe"}),
              HasSubstr("lab up: --json is 'maybe'; allowed: no value, for it is a flag\n"));
  EXPECT_THAT(refusal({"lab", "logs", "a", "b"}),
              HasSubstr("lab logs: 'b' is not expected; allowed: options and node\n"));
  EXPECT_THAT(refusal({"lab", "up", "--seat"}), testing::Not(HasSubstr("--seat,")));
}

// A variable that was not set: neither the default nor the root of the file system is meant.
TEST_F(Usage, AnEmptyValueIsRefusedAndNamed) {
  EXPECT_THAT(refusal({"lab", "up", "--deadline", ""}),
              testing::AllOf(HasSubstr("tool-x: lab up: --deadline has an empty value"),
                             HasSubstr("see tool-x lab up --help")));
  EXPECT_THAT(refusal({"lab", "up", "--deadline="}), HasSubstr("--deadline has an empty value"));
  EXPECT_THAT(refusal({"lab", "logs", ""}), HasSubstr("word 3 is empty"));
}

TEST_F(Usage, EveryShellsScriptHasEveryPath) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    ASSERT_EQ(run({"completion", shell}), std::nullopt);
    for (const char* part : {"'lab up'", "'lab logs'", "'bench'", "--deadline", "tool-x"}) {
      EXPECT_THAT(out_.str(), HasSubstr(part)) << shell;
    }
    EXPECT_THAT(out_.str(), HasSubstr("'tcg kvm'")) << shell;
    EXPECT_THAT(out_.str(), testing::Not(HasSubstr("keeper"))) << shell;
    EXPECT_THAT(out_.str(), testing::Not(HasSubstr("seat"))) << shell;
  }
  EXPECT_THAT(refusal({"completion", "tcsh"}), HasSubstr("tcsh"));
}

TEST(UsageAlone, AnErrorIsToldWithItsRemedy) {
  std::ostringstream err;
  printError(err, "tool-x", Error(ErrorCode::kIo, "the disk is full", "make room"));
  EXPECT_EQ(err.str(), "tool-x: the disk is full\n  remedy: make room\n");
  err.str("");
  printError(err, "tool-x", Error(ErrorCode::kIo, "the disk is full"));
  EXPECT_EQ(err.str(), "tool-x: the disk is full\n");
  EXPECT_EXIT(endWith("tool-x", Error(ErrorCode::kCheckFailed, "wrong")),
              testing::ExitedWithCode(static_cast<int>(ExitCode::kCheckFailed)), "tool-x: wrong");
}

TEST(UsageAlone, ACommandThatLetsItStandsAloneAndStillNamesUnknownWords) {
  CLI::App app{"A tool", "tool-x"};
  int alone = 0;
  app.require_subcommand(0, 1);
  auto* tune = app.add_subcommand("tune", "Search");
  tune->require_subcommand(0);
  auto* show = tune->add_subcommand("show", "Look");
  tune->final_callback([&] { alone += show->parsed() ? 0 : 1; });
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(parseCommandLine(app, {"tool-x", "tune"}, out, err), std::nullopt);
  EXPECT_EQ(parseCommandLine(app, {"tool-x", "tune", "show"}, out, err), std::nullopt);
  EXPECT_EQ(alone, 1);
  EXPECT_EQ(parseCommandLine(app, {"tool-x", "tune", "look"}, out, err), ExitCode::kUsage);
  EXPECT_THAT(err.str(), HasSubstr("'look' is no command; allowed: show"));
}

TEST(Values, NotANumberIsInNoRange) {
  const auto range = realRange(0.1, 10);
  for (const char* good : {"0.1", "10", "1e0"}) EXPECT_EQ(range(good), "") << good;
  for (const char* bad : {"nan", "-nan", "NAN", "inf", "0", "11", "x", ""})
    EXPECT_NE(range(bad), "") << bad;
  EXPECT_EQ(range("11"), "Value 11 not in range 0.1 to 10");
}

TEST(Values, ASizeDoesNotWrap) {
  const auto size = sizeValue();
  std::string good = "4KiB";
  EXPECT_EQ(size(good), "");
  EXPECT_EQ(good, "4096");
  for (std::string bad :
       {"-1", "+1", "99999999999999999999", "18446744073709551616", "17179869184GiB", "KiB", ""})
    EXPECT_NE(size(bad), "") << bad;
}

}  // namespace
}  // namespace railhead::usage

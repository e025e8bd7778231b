#include "apps/railhead/command_line.h"
#include "apps/railhead/lab_output.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::app {
namespace {

using testing::HasSubstr;

struct Outcome {
  ExitCode code;
  std::string out;
  std::string err;
};

Outcome run(std::vector<std::string> args, const std::string& program = "/nowhere/bin/railhead") {
  args.insert(args.begin(), {"railhead", "lab"});
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, program};
  const ExitCode code = runCommandLine(args, context);
  return {code, out.str(), err.str()};
}

// A lab that nobody runs.
std::string noLabName() { return "unused-" + std::to_string(::getpid()); }
std::string noLab() { return "--lab=" + noLabName(); }

TEST(LabCommand, EveryPartHasHelpWithAnExample) {
  for (const auto* part : {"up", "status", "exec", "logs", "link", "down"}) {
    const Outcome help = run({part, "--help"});
    EXPECT_EQ(help.code, ExitCode::kOk) << part;
    EXPECT_THAT(help.out, HasSubstr("railhead lab " + std::string(part))) << part;
  }
  EXPECT_THAT(run({"--help"}).out, testing::Not(HasSubstr("keeper")));
}

TEST(LabCommand, BadUsageIsExitTwoAndNamed) {
  EXPECT_EQ(run({}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"exec", "spark-a"}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"link", "rail0", "--cut", "--restore"}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"link", "rail0", "--loss", "101"}).code, ExitCode::kUsage);
  EXPECT_EQ(run({"up", "--deadline", "0"}).code, ExitCode::kUsage);
  const Outcome rate = run({"link", "rail0", "--rate", "fast"});
  EXPECT_EQ(rate.code, ExitCode::kUsage);
  EXPECT_THAT(rate.err, HasSubstr("--rate is 'fast'; allowed: 100kbit"));
  const Outcome env = run({"exec", "spark-a", "--env", "x", "--", "true"});
  EXPECT_EQ(env.code, ExitCode::kUsage);
  EXPECT_THAT(env.err, HasSubstr("--env is 'x'"));
  const Outcome topology = run({"up", "--topology", "three-sparks"});
  EXPECT_EQ(topology.code, ExitCode::kUsage);
  EXPECT_THAT(topology.err, HasSubstr("'three-sparks'; allowed: four-nodes, two-sparks"));
  EXPECT_EQ(run({"up", "--lab", "a b", "--accel", "hvf"}).code, ExitCode::kUsage);
}

TEST(LabCommand, WithoutALabEachPartSaysSo) {
  const Outcome down = run({"down", noLab()});
  EXPECT_EQ(down.code, ExitCode::kOk);
  EXPECT_EQ(down.out, "no lab is running\n");
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"status"}, {"logs", "a"}, {"link", "rail0"}, {"exec", "a", "--", "true"}}) {
    auto given = args;
    given.insert(given.begin() + 1, noLab());
    const Outcome outcome = run(given);
    EXPECT_EQ(outcome.code, ExitCode::kEnvironment) << args[0];
    EXPECT_THAT(outcome.err, HasSubstr("no lab is running")) << args[0];
    EXPECT_THAT(outcome.err, HasSubstr("railhead lab up --lab " + noLabName() + "\n")) << args[0];
  }
}

// A signal that waits until `up` takes it, and a keeper that does nothing until `up` lets go of it.
TEST(LabCommand, AnInterruptedUpExitsWithTheSignalsCode) {
  std::string folder = testing::TempDir() + "interrupted-up-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const auto* name : {"kernel", "initramfs.cpio", "root.erofs"}) {
    std::ofstream(folder + "/" + name) << "x";
  }
  std::ofstream(folder + "/image.json") << R"({"kernel": "7.0.0"})";
  const std::string keeper = folder + "/keeper";
  std::ofstream(keeper) << "#!/bin/sh\nexec cat <&$3 >/dev/null\n";
  std::filesystem::permissions(keeper, std::filesystem::perms::owner_all);
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &signals, &before), 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    ::raise(signal);
    const Outcome up =
        run({"up", noLab(), "--image", folder, "--qemu", RAILHEAD_FAKE_QEMU}, keeper);
    EXPECT_EQ(static_cast<int>(up.code), 128 + signal) << up.err;
    EXPECT_THAT(up.err, HasSubstr("interrupted; nothing is left")) << up.err;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::filesystem::remove_all(folder);
}

TEST(LabOutput, StatusShowsNodesLinksAndProblems) {
  lab::LabStatus status;
  status.name = "mine";
  status.topology = "pair";
  status.up = true;
  lab::NodeStatus node;
  node.name = "a";
  node.state = lab::NodeState::kReady;
  node.readySeconds = 5.25;
  node.memoryMib = 512;
  node.kernel = "7.3.4";
  node.pfs = {{"p0", "0000:01:00.0", "02:00:00:00:00:01", 4, "rail0"}, {"p1", "", "", 4, ""}};
  status.nodes.push_back(node);
  node.name = "b";
  node.state = lab::NodeState::kDead;
  node.problem = "node b died: QEMU ended with signal 9";
  status.nodes.push_back(node);
  status.links.push_back(
      {"rail0", BitRate{4e7}, true, 0.5, {{"a/p0", 10, 1000, 1}, {"b/p0", 2, 3, 4}}});
  const std::string text = statusText(status);
  EXPECT_THAT(text, HasSubstr("lab pair is up"));
  EXPECT_THAT(text, HasSubstr("p0 (rail0), p1 (no link)"));
  EXPECT_THAT(text, testing::ContainsRegex("rail0 +cut +40 Mb/s +0.5 % +a/p0 +10 +1000 +1"));
  EXPECT_THAT(text, HasSubstr("node b died: QEMU ended with signal 9\n"
                              "  the whole console: railhead lab logs b --lab mine\n"));
  EXPECT_EQ(linkText(status.links[0]), "link rail0: cut, 40 Mb/s, loss 0.5 %");
}

}  // namespace
}  // namespace railhead::app

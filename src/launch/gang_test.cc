#include "src/launch/gang.h"

#include "src/os/unique_fd.h"
#include "tests/support/temporary_folder.h"

#include <csignal>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

namespace railhead::launch {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kNull[] = "/dev/null";

RankCommand shell(int rank, const std::string& script) {
  return {rank, "node-" + std::to_string(rank), {"sh", "-c", script}, {}};
}

// What the script of one rank makes and that of another waits for: how long a shell takes to come
// so far is the machine's.
class Mark {
 public:
  std::string make() const { return ": >" + path() + "; "; }
  std::string await() const { return "until [ -e " + path() + " ]; do sleep 0.01; done; "; }

 private:
  std::string path() const { return folder_.path() + "/mark"; }
  testing_support::TemporaryFolder folder_;
};

bool runsNow(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  char state = 'X';
  status >> word >> word >> state;
  return status.good() && state != 'Z' && state != 'X';
}

// The kernel takes a killed process away in its own time.
bool runs(pid_t pid) {
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (runsNow(pid) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  return runsNow(pid);
}

TEST(Gang, GathersOutputsAndLinesOfRanksThatEndWell) {
  std::vector<std::string> lines;
  GangSettings settings;
  settings.onLine = [&](int rank, std::string_view line) {
    lines.push_back(std::to_string(rank) + " " + std::string(line));
  };
  RankCommand second = shell(1, "echo \"$GREETING\" >&2; printf two");
  second.environment = {{"GREETING", "hello"}};
  const auto end = runGang({shell(0, "printf one"), second}, settings, kNull).value();
  EXPECT_TRUE(end.ok()) << end.reason();
  EXPECT_EQ(end.ranks[0].output, "one");
  EXPECT_EQ(end.ranks[1].output, "two");
  EXPECT_THAT(lines, ElementsAre("1 hello"));
}

TEST(Gang, WhoFailsByItselfIsNamedNotWhoWasToldOfIt) {
  const Mark started;
  const auto end = runGang({shell(0, started.make() + "sleep 0.1; echo 'no CUDA' >&2; exit 4"),
                            shell(1, started.await() + "echo 'rank 0 gave up' >&2; exit 1")},
                           GangSettings(), kNull)
                       .value();
  EXPECT_EQ(end.reason(), "rank 0 (node node-0) ended with exit code 4: no CUDA");
}

TEST(Gang, WhoWasKilledIsNamedNotWhoNoticed) {
  const Mark started;
  const auto end = runGang({shell(0, started.make() + "sleep 0.1; kill -9 $$"),
                            shell(1, started.await() + "echo 'peer gone' >&2; exit 1")},
                           GangSettings(), kNull)
                       .value();
  EXPECT_EQ(end.reason(), "rank 0 (node node-0) ended with signal 9 without a word");
}

TEST(Gang, AnExitCodeBeyondEverySignalIsNone) {
  const auto end =
      runGang({shell(0, "echo 'no route' >&2; echo 'railhead-progress x' >&2; exit 255")},
              GangSettings(), kNull)
          .value();
  EXPECT_EQ(end.reason(), "rank 0 (node node-0) ended with exit code 255: no route");
}

TEST(Gang, AFailureOfOursKeepsItsReasonAndItsRemedy) {
  const auto end =
      runGang({shell(0, "printf 'railhead: no rail\\n  remedy: plug it in\\n' >&2; exit 4")},
              GangSettings(), kNull)
          .value();
  EXPECT_EQ(end.reason(), "rank 0 (node node-0) ended with exit code 4: railhead: no rail");
  EXPECT_EQ(end.remedy(), "plug it in");
}

TEST(Gang, OneFailureEndsAllAndIsNamedWithItsLastLine) {
  GangSettings settings;
  settings.grace = 2s;
  const auto begin = std::chrono::steady_clock::now();
  const auto end = runGang({shell(0, "sleep 60"), shell(1, "echo 'no memory' >&2; exit 4"),
                            shell(2, "sleep 60")},
                           settings, kNull)
                       .value();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  EXPECT_FALSE(end.ok());
  EXPECT_EQ(end.failed, 1);
  EXPECT_EQ(end.reason(), "rank 1 (node node-1) ended with exit code 4: no memory");
  EXPECT_EQ(end.ranks[0].exitCode, 128 + SIGTERM);
}

TEST(Gang, ARankThatIgnoresSigtermIsKilledWithItsChildren) {
  GangSettings settings;
  settings.grace = 200ms;
  const Mark ignores;
  const auto end =
      runGang({shell(0, "trap '' TERM; sleep 60 & echo $! ; " + ignores.make() + "wait; sleep 60"),
               shell(1, ignores.await() + "kill -9 $$")},
              settings, kNull)
          .value();
  EXPECT_EQ(end.failed, 1);
  EXPECT_THAT(end.reason(), HasSubstr("rank 1 (node node-1) ended with signal 9 without a word"));
  EXPECT_EQ(end.ranks[0].exitCode, 128 + SIGKILL);
  EXPECT_FALSE(runs(std::stoi(end.ranks[0].output)));
}

RankCommand watching(int rank, const std::string& script) {
  RankCommand command = shell(rank, script);
  command.watchesInput = true;
  return command;
}

TEST(Gang, WhoWatchesItsInputIsStoppedByItsEndAndHeardUntilItHasEnded) {
  const auto begin = std::chrono::steady_clock::now();
  GangSettings settings;
  settings.grace = 40s;
  const auto end = runGang({watching(0, "cat >/dev/null; sleep 0.2; echo saved >&2; exit 7"),
                            shell(1, "sleep 0.2; exit 3")},
                           settings, kNull)
                       .value();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  EXPECT_EQ(end.failed, 1);
  EXPECT_EQ(end.ranks[0].exitCode, 7);
  EXPECT_THAT(end.ranks[0].lastLines, ElementsAre("saved"));
}

TEST(Gang, WhoDoesNotHeedTheEndOfItsInputIsToldBySignalAfterTheGrace) {
  GangSettings settings;
  settings.grace = 100ms;
  const Mark ignores;
  const auto end = runGang({watching(0, "exec sleep 60"),
                            watching(1, "trap '' TERM; " + ignores.make() + "sleep 60"),
                            shell(2, ignores.await() + "exit 3")},
                           settings, kNull)
                       .value();
  EXPECT_EQ(end.failed, 2);
  EXPECT_EQ(end.ranks[0].exitCode, 128 + SIGTERM);
  EXPECT_EQ(end.ranks[1].exitCode, 128 + SIGKILL);
}

TEST(Gang, WhatAnEndedRankLeftInItsSessionIsKilled) {
  for (const char* how : {"kill -9 $$", "exit 0"}) {
    const auto end =
        runGang({shell(0, std::string("sleep 600 >/dev/null 2>&1 & echo $!; ") + how)}, {}, kNull)
            .value();
    ASSERT_FALSE(end.ranks[0].output.empty());
    EXPECT_FALSE(runs(std::stoi(end.ranks[0].output))) << how;
  }
}

TEST(Gang, EndsAtItsTimeLimitAndWhenInterrupted) {
  GangSettings settings;
  settings.timeLimit = 200ms;
  const auto late = runGang({shell(0, "sleep 60")}, settings, kNull).value();
  EXPECT_TRUE(late.outOfTime);
  EXPECT_EQ(late.reason(), "the ranks did not end in time");

  const os::UniqueFd interrupt(::eventfd(0, EFD_CLOEXEC));
  GangSettings stopped;
  stopped.interruptFd = interrupt.get();
  stopped.onLine = [&](int, std::string_view) { ::eventfd_write(interrupt.get(), 1); };
  const auto end = runGang({shell(0, "echo started >&2; sleep 60")}, stopped, kNull).value();
  EXPECT_TRUE(end.interrupted);
  EXPECT_EQ(end.reason(), "interrupted");
}

// Long lines without end, from a program that is always ahead of who takes them.
constexpr char kFlood[] = "yes \"$(printf %04000d 0)\" >&2";
GangSettings takingSlowly(bool* took = nullptr) {
  GangSettings settings;
  settings.onLine = [took](int /*rank*/, std::string_view /*line*/) {
    if (took != nullptr) *took = true;
    std::this_thread::sleep_for(1ms);
  };
  return settings;
}

TEST(Gang, ARankThatPrintsWithoutEndHoldsUpNothing) {
  const auto failed =
      runGang({shell(0, std::string("exec ") + kFlood), shell(1, "sleep 0.2; exit 3")},
              takingSlowly(), kNull)
          .value();
  EXPECT_EQ(failed.reason(), "rank 1 (node node-1) ended with exit code 3 without a word");

  GangSettings settings = takingSlowly();
  settings.timeLimit = 200ms;
  const auto late = runGang({shell(0, std::string("exec ") + kFlood)}, settings, kNull).value();
  EXPECT_TRUE(late.outOfTime);
}

TEST(Gang, ADaemonThatStillPrintsDoesNotKeepAnEndedRank) {
  bool prints = false;
  const auto gang =
      RunningGang::start({shell(0, std::string("setsid ") + kFlood + " & read -r go; exit 0")},
                         takingSlowly(&prints), kNull)
          .value();
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (!prints && gang->step() && std::chrono::steady_clock::now() < limit) {
  }
  ASSERT_TRUE(gang->tell(0, "go\n").has_value());
  while (gang->step() && std::chrono::steady_clock::now() < limit) {
  }
  const auto end = gang->end();
  EXPECT_TRUE(end.ok()) << end.reason();
  EXPECT_EQ(end.ranks[0].exitCode, 0);
}

TEST(Gang, AProgramThatIsNotThereLeavesNothingRunning) {
  const auto begin = std::chrono::steady_clock::now();
  const auto end = runGang({shell(0, "sleep 60"), {1, "n", {"/no/such/program"}, {}}}, {}, kNull);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(end.error().message, HasSubstr("rank 1 (node n)"));
}

TEST(Gang, KeepsBoundedLinesOnly) {
  const auto end =
      runGang({shell(0,
                     "i=0; while [ $i -lt 100 ]; do echo line $i >&2; i=$((i+1)); done; "
                     "head -c 100000 /dev/zero | tr '\\0' x >&2")},
              {}, kNull)
          .value();
  EXPECT_EQ(end.ranks[0].lastLines.size(), 20U);
  EXPECT_EQ(end.ranks[0].lastLines[18], "line 99");
  EXPECT_EQ(end.ranks[0].lastLines[19].size(), 4096U);
}

TEST(Gang, ARunningOneIsToldThingsAndAnswers) {
  std::vector<std::string> lines;
  GangSettings settings;
  settings.onLine = [&](int rank, std::string_view line) {
    lines.push_back(std::to_string(rank) + " " + std::string(line));
  };
  const auto gang =
      RunningGang::start({shell(0, "while read -r word; do echo \"got $word\" >&2; done"),
                          shell(1, "cat >/dev/null")},
                         settings, kNull)
          .value();
  const auto limit = std::chrono::steady_clock::now() + 20s;
  for (std::size_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(gang->tell(0, "order-" + std::to_string(i) + "\n").has_value());
    while (lines.size() < i && gang->step(20ms) && std::chrono::steady_clock::now() < limit) {
    }
  }
  EXPECT_THAT(lines, ElementsAre("0 got order-1", "0 got order-2", "0 got order-3"));
  EXPECT_FALSE(gang->tell(2, "x").has_value());
  const auto end = gang->end();
  EXPECT_TRUE(end.ok()) << end.reason();
  EXPECT_EQ(end.ranks[1].exitCode, 128 + SIGTERM);  // stopped, which is no failure
}

TEST(Gang, ARunningOneWhoseRankDiesIsOverAndSaysWhy) {
  const auto gang =
      RunningGang::start({shell(0, "sleep 60"), shell(1, "echo boom >&2; exit 3")}, {}, kNull)
          .value();
  const auto limit = std::chrono::steady_clock::now() + 20s;
  while (gang->step() && std::chrono::steady_clock::now() < limit) {
  }
  const auto end = gang->end();
  EXPECT_EQ(end.failed, 1);
  EXPECT_THAT(end.reason(), HasSubstr("exit code 3: boom"));
}

TEST(Gang, ARunningOneThatIsLetGoLeavesNothing) {
  std::string pid;
  GangSettings settings;
  settings.onLine = [&](int /*rank*/, std::string_view line) { pid = line; };
  {
    const auto gang =
        RunningGang::start({shell(0, "echo $$ >&2; exec sleep 60")}, settings, kNull).value();
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (pid.empty() && gang->step() && std::chrono::steady_clock::now() < limit) {
    }
  }
  ASSERT_FALSE(pid.empty());
  EXPECT_FALSE(runs(std::stoi(pid)));
}

}  // namespace
}  // namespace railhead::launch

#include "src/launch/guard.h"

#include "src/launch/gang.h"
#include "src/os/bound_process.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::launch {
namespace {

using namespace std::chrono_literals;

// A guard is a process of its own: it takes the signals and the orphans of the one it is in.
class Guarded : public testing::Test {
 protected:
  Guarded()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-guard-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Guarded() override {
    if (guard_ > 0) ::kill(-guard_, SIGKILL);
    std::filesystem::remove_all(folder_);
  }
  std::string at(const char* name) const { return (folder_ / name).string(); }

  // The end of its standard input is closeInput().
  void start(const std::string& script, bool untilInputEnds = true,
             std::chrono::milliseconds grace = 300ms) {
    ASSERT_EQ(::pipe(input_), 0);
    guard_ = ::fork();
    if (guard_ != 0) {
      ::close(input_[0]);
      return;
    }
    ::setsid();
    ::close(input_[1]);
    ::dup2(input_[0], STDIN_FILENO);
    const auto code = runGuarded({{"sh", "-c", script}, folder_.string(), grace, untilInputEnds},
                                 "/proc", "/dev/null");
    ::_exit(code.has_value() ? *code : 99);
  }
  void closeInput() { ::close(input_[1]); }
  int end() {
    int status = 0;
    ::waitpid(guard_, &status, 0);
    guard_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  pid_t pidIn(const char* name) const {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    pid_t pid = 0;
    while (pid == 0 && std::chrono::steady_clock::now() < limit) {
      std::ifstream file(folder_ / name);
      std::string line;
      if (std::getline(file, line) && !file.eof()) pid = std::stoi(line);
      std::this_thread::yield();
    }
    return pid;
  }
  static bool runs(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string word;
    char state = 'X';
    status >> word >> word >> state;
    return status.good() && state != 'Z' && state != 'X';
  }
  static bool runsStill(pid_t pid) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (runs(pid) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    return runs(pid);
  }

  std::filesystem::path folder_;
  int input_[2] = {-1, -1};
  pid_t guard_ = -1;
};

// A child that left the session and whose parent is gone: nobody's child but the guard's.
constexpr char kDaemon[] =
    "setsid sh -c 'echo $$ >daemon.new; mv daemon.new daemon; exec sleep 600' & "
    "while [ ! -e daemon ]; do sleep 0.01; done; ";

TEST_F(Guarded, PassesTheExitCodeOnAndLeavesNoDaemon) {
  start(std::string(kDaemon) + "exit 7");
  EXPECT_EQ(end(), 7);
  const pid_t daemon = pidIn("daemon");
  ASSERT_GT(daemon, 0);
  EXPECT_FALSE(runsStill(daemon));
}

TEST_F(Guarded, ASignalsEndIsItsNumber) {
  start("kill -9 $$");
  EXPECT_EQ(end(), 128 + SIGKILL);
}

TEST_F(Guarded, EndsWithItsInputAndTakesAllWithIt) {
  start("trap 'echo told >told; exit 5' TERM; " + std::string(kDaemon) +
            "while :; do sleep 0.01; done",
        true, 60s);
  const pid_t daemon = pidIn("daemon");
  ASSERT_GT(daemon, 0);
  closeInput();
  EXPECT_EQ(end(), 5);
  EXPECT_TRUE(std::filesystem::exists(at("told")));
  EXPECT_FALSE(runsStill(daemon));
}

// As `bash -c "...; python train.py"` has it: the one that has something to save is a child.
TEST_F(Guarded, AChildOfTheCommandHasTheGraceToo) {
  start(
      "sh -c 'trap \"sleep 0.3; echo saved >saved; exit 0\" TERM; "
      "echo $$ >child.new; mv child.new child; while :; do sleep 0.01; done'; true",
      true, 60s);
  const pid_t child = pidIn("child");
  ASSERT_GT(child, 0);
  closeInput();
  EXPECT_EQ(end(), 128 + SIGTERM);
  EXPECT_TRUE(std::filesystem::exists(at("saved")));
  EXPECT_FALSE(runsStill(child));
}

TEST_F(Guarded, ADaemonOfTheCommandIsToldBeforeItIsKilled) {
  const auto begin = std::chrono::steady_clock::now();
  start(
      "setsid sh -c 'trap \"echo saved >saved; exit 0\" TERM; "
      "echo $$ >daemon.new; mv daemon.new daemon; while :; do sleep 0.01; done' & "
      "while :; do sleep 0.01; done",
      true, 60s);
  ASSERT_GT(pidIn("daemon"), 0);
  closeInput();
  EXPECT_EQ(end(), 128 + SIGTERM);
  EXPECT_TRUE(std::filesystem::exists(at("saved")));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 40s);
}

// Workers of a trainer that is saving.
TEST_F(Guarded, AChildIsNotToldWhileTheCommandStops) {
  start(
      "trap 'sleep 0.3; [ -e told ] && exit 8; exit 5' TERM; "
      "sh -c 'trap \"echo told >told; exit 0\" TERM; "
      "echo $$ >child.new; mv child.new child; while :; do sleep 0.01; done' & "
      "while :; do sleep 0.01; done",
      true, 60s);
  ASSERT_GT(pidIn("child"), 0);
  closeInput();
  EXPECT_EQ(end(), 5);
  EXPECT_TRUE(std::filesystem::exists(at("told")));
}

TEST_F(Guarded, WhatIgnoresSigtermIsKilledAfterTheGrace) {
  start("trap '' TERM; echo $$ >pid.new; mv pid.new pid; while :; do sleep 0.01; done");
  ASSERT_GT(pidIn("pid"), 0);
  ::kill(guard_, SIGTERM);
  EXPECT_EQ(end(), 128 + SIGKILL);
}

TEST_F(Guarded, ItsOwnDeathIsTheCommandsToo) {
  start("echo $$ >pid.new; mv pid.new pid; sleep 600");
  const pid_t command = pidIn("pid");
  ASSERT_GT(command, 0);
  const pid_t session = guard_;
  ::kill(guard_, SIGKILL);
  EXPECT_EQ(end(), 128 + SIGKILL);
  EXPECT_FALSE(runsStill(command));
  ::kill(-session, SIGKILL);  // as who started it does
}

TEST_F(Guarded, NoSuchProgramOrFolderIsAnError) {
  const auto program = runGuarded({{"/no/such/program"}, "", 1s, false}, "/proc", "/dev/null");
  ASSERT_FALSE(program.has_value());
  EXPECT_EQ(program.error().code, ErrorCode::kNotFound);
  const auto folder = runGuarded({{"true"}, "/no/such/folder", 1s, false}, "/proc", "/dev/null");
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace railhead::launch

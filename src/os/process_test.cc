#include "src/os/process.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::os {
namespace {

TEST(Process, PassesInputAndTakesBothOutputs) {
  SystemProcessRunner runner;
  const std::string big(300000, 'x');
  const auto result =
      runner.run({.argv = {"sh", "-c", "cat; echo oops >&2; exit 3"}, .input = big});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->exitCode, 3);
  EXPECT_EQ(result->output, big);
  EXPECT_EQ(result->errorOutput, "oops\n");
}

TEST(Process, GivesTheWholeEnvironmentAndNothingElse) {
  SystemProcessRunner runner;
  const auto result = runner.run(
      {.argv = {"/usr/bin/env"}, .environment = std::map<std::string, std::string>{{"A", "1"}}});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->output, "A=1\n");
}

TEST(Process, EndsAtItsDeadlineWithItsChildren) {
  SystemProcessRunner runner;
  const auto result = runner.run(
      {.argv = {"sh", "-c", "sleep 60 & sleep 60"}, .deadline = std::chrono::milliseconds(50)});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
}

TEST(Process, AnInterruptShortensTheDeadline) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  SystemProcessRunner runner;
  const ProcessSpec spec = {.argv = {"sleep", "60"},
                            .deadline = std::chrono::minutes(1),
                            .interruptFd = ends[0],
                            .afterInterrupt = std::chrono::milliseconds(50)};
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  const auto begin = std::chrono::steady_clock::now();
  const auto result = runner.run(spec);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
  // What is quick is not met by it.
  EXPECT_EQ(runner.run({.argv = {"true"}, .interruptFd = ends[0]})->exitCode, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Process, NamesAProgramThatIsNotThere) {
  SystemProcessRunner runner;
  const auto result = runner.run({.argv = {"/nonexistent/program"}});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, testing::HasSubstr("/nonexistent/program"));
}

TEST(Process, RefusesEndlessOutputAndReportsSignals) {
  SystemProcessRunner runner;
  EXPECT_EQ(runner.run({.argv = {"yes"}, .maxOutput = 100000}).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(runner.run({.argv = {"sh", "-c", "kill -9 $$"}})->exitCode, 137);
}

// With SIGPIPE as it is by default, which would end this test.
TEST(Process, AProgramThatReadsNoInputIsNoSignal) {
  os::SystemProcessRunner runner;
  const auto result = runner.run({.argv = {"true"}, .input = std::string(1 << 20, 'x')});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->exitCode, 0);
}

// As our programs ignore them.
TEST(Process, AProgramHasItsSignalsAsUsual) {
  const auto pipe = std::signal(SIGPIPE, SIG_IGN), tooLarge = std::signal(SIGXFSZ, SIG_IGN);
  SystemProcessRunner runner;
  const auto result = runner.run({.argv = {"grep", "^SigIgn:", "/proc/self/status"}});
  std::signal(SIGPIPE, pipe);
  std::signal(SIGXFSZ, tooLarge);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->output, "SigIgn:\t0000000000000000\n");
}

// Makes this process see /proc/sys as one in a container does, in namespaces of its own; false
// without the right to.
bool enterContainersView() {
  return ::unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr) == 0 &&
         ::mount(nullptr, "/proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
}

enum Outcome { kAsPromised, kWithoutRights, kWritableForAll, kReadOnly, kLeaked };

Outcome writeSysctls() {
  if (!enterContainersView()) return kWithoutRights;
  ProcessSpec spec{.argv = {"sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/lo/arp_notify"}};
  SystemProcessRunner runner;
  const auto ends = [&] {
    const auto result = runner.run(spec);
    return result.has_value() ? result->exitCode : -1;
  };
  if (ends() == 0) return kWritableForAll;
  spec.writableSysctls = true;
  if (ends() != 0) return kReadOnly;
  spec.writableSysctls = false;
  return ends() == 0 ? kLeaked : kAsPromised;
}

TEST(Process, AProgramMaySetSysctlsThatAreReadOnlyHere) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(writeSysctls());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kWithoutRights) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  EXPECT_EQ(WEXITSTATUS(status), kAsPromised);
}

TEST(Process, AskingForWritableSysctlsChangesNothingWhereTheyAre) {
  SystemProcessRunner runner;
  const auto result = runner.run({.argv = {"true"}, .writableSysctls = true});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->exitCode, 0);
}

}  // namespace
}  // namespace railhead::os

#include "src/os/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace railhead::os

#include "src/train/rank_watch.h"

#include "src/train/run_folder.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::train {
namespace {

using namespace std::chrono_literals;

class Watching : public testing::Test {
 protected:
  Watching() : watch_(0, file(), StepSeries()) {
    EXPECT_TRUE(watch_.beginAttempt(1, 0, clock_.now()).has_value());
  }
  std::string file() const { return folder_.path() + "/rank-0.jsonl"; }
  void step(std::uint64_t number) {
    EXPECT_TRUE(appendText(file(), R"({"schema":"railhead.metrics/1","step":)" +
                                       std::to_string(number) + R"(,"loss":1.5})" + "\n")
                    .has_value());
    watch_.takeNew(clock_.now());
  }
  void print(const std::string& line) {
    EXPECT_TRUE(watch_.takeOutput(line, clock_.now()).has_value());
  }
  std::string overdueAfter(std::chrono::seconds time) {
    clock_.advance(time);
    return watch_.overdue(deadlines_, clock_.now()).value_or("");
  }

  testing_support::TemporaryFolder folder_;
  testing_support::ManualClock clock_;
  RankWatch watch_;
  Deadlines deadlines_{600, 60, 10, 0};
};

TEST_F(Watching, ARankThatSaysNothingHasTheTimeToStart) {
  EXPECT_EQ(overdueAfter(599s), "");
  EXPECT_EQ(overdueAfter(2s), "deadlines.startSeconds");
}

// A banner is no step: what follows it may take as long as a start may.
TEST_F(Watching, ABannerDoesNotEndTheTimeToStart) {
  print("2 ranks, LibTorch");
  EXPECT_EQ(overdueAfter(590s), "");
  step(1);
  EXPECT_EQ(overdueAfter(59s), "");
  EXPECT_EQ(overdueAfter(2s), "deadlines.stepSeconds");
}

TEST_F(Watching, LinesCountForWhoTellsNoSteps) {
  deadlines_ = {60, 100, 10, 0};
  print("epoch 1");
  EXPECT_EQ(overdueAfter(99s), "");
  print("epoch 2");
  EXPECT_EQ(overdueAfter(99s), "");
  EXPECT_EQ(overdueAfter(2s), "deadlines.stepSeconds");
}

TEST_F(Watching, WithoutADeadlineForStepsOneThatHasBegunMayBeSilent) {
  deadlines_ = {600, 0, 10, 0};
  print("begun");
  EXPECT_EQ(overdueAfter(100'000s), "");
}

TEST_F(Watching, LinesDoNotCountForWhoTellsSteps) {
  step(1);
  clock_.advance(59s);
  print("waiting for peers");
  EXPECT_EQ(overdueAfter(2s), "deadlines.stepSeconds");
}

TEST_F(Watching, EachStartHasItsTimeAgain) {
  step(1);
  EXPECT_EQ(overdueAfter(61s), "deadlines.stepSeconds");
  ASSERT_TRUE(watch_.beginAttempt(2, 0, clock_.now()).has_value());
  EXPECT_EQ(overdueAfter(599s), "");
  EXPECT_EQ(watch_.series().lastStep(), 0U);
  EXPECT_EQ(watch_.series().lostSteps(), 1U);
}

TEST_F(Watching, StepsThatArePrintedAreKeptOnce) {
  const std::string line = R"({"schema":"railhead.metrics/1","step":1,"loss":2})";
  print(line);
  EXPECT_EQ(watch_.takeNew(clock_.now()).size(), 1U);
  EXPECT_EQ(watch_.series().lastStep(), 1U);
  EXPECT_TRUE(watch_.takeNew(clock_.now()).empty());
}

std::string checkpointLine(const std::string& step, const std::string& folder = "/claim") {
  return R"({"schema":"railhead.metrics/1","event":"checkpoint","step":)" + step + R"(,"path":")" +
         folder + "/step-" + step + "\"}";
}
constexpr const char* kBack = R"({"schema":"railhead.metrics/1","event":"resumed","step":3})";

// All within one turn of who reads them.
TEST_F(Watching, ATrainerThatGoesBackTellsSoBeforeItsFirstStep) {
  print(checkpointLine("3"));
  print(checkpointLine("6"));
  ASSERT_TRUE(watch_.beginAttempt(2, 6, clock_.now()).has_value());
  print(kBack);
  print(R"({"schema":"railhead.metrics/1","step":4,"loss":2})");
  print(checkpointLine("6"));
  print(kBack);  // by a log that is followed anew
  const auto told = watch_.takeNew(clock_.now());
  ASSERT_EQ(told.size(), 3U);
  EXPECT_EQ(told[0].kind, MetricsLine::Kind::kResumed);
  EXPECT_EQ(told[2].step.step, 6U);
  EXPECT_EQ(watch_.series().newestCheckpoint()->step, 6U);
}

TEST_F(Watching, AnOldCheckpointIsNotNewUnderAnotherPath) {
  print(checkpointLine("3"));
  print(checkpointLine("6"));
  ASSERT_TRUE(watch_.beginAttempt(2, 6, clock_.now()).has_value());
  print(checkpointLine("3", "/other"));
  print(checkpointLine("6", "/other"));
  print(checkpointLine("9", "/other"));
  const auto told = watch_.takeNew(clock_.now());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].step.step, 9U);
}

}  // namespace
}  // namespace railhead::train

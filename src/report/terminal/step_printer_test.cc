#include "src/report/terminal/step_printer.h"

#include "tests/support/manual_clock.h"

#include <condition_variable>
#include <sstream>
#include <streambuf>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::report {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

class StepPrinterTest : public ::testing::Test {
 protected:
  // What was written since the last call.
  std::string written() {
    std::string text = out_.str();
    out_.str("");
    return text;
  }

  std::ostringstream out_;
  testing_support::ManualClock clock_;
};

TEST_F(StepPrinterTest, WritesPlainLinesWhereNothingCanBeRedrawn) {
  StepPrinter printer(out_, {}, clock_);
  printer.begin("Boot two nodes");
  EXPECT_EQ(written(), "▸ Boot two nodes …\n");
  clock_.advance(milliseconds(12'340));
  printer.tick();
  EXPECT_EQ(written(), "");
  printer.note("node-a is up");
  EXPECT_EQ(written(), "  node-a is up\n");
  const Step step = printer.succeed("both answer");
  EXPECT_EQ(written(), "✓ Boot two nodes                                12.3 s  both answer\n");
  EXPECT_EQ(step.name, "Boot two nodes");
  EXPECT_NEAR(step.seconds, 12.34, 1e-9);
  EXPECT_TRUE(step.ok);
  EXPECT_EQ(step.detail, "both answer");
}

TEST_F(StepPrinterTest, RedrawsTheTimeOnATerminal) {
  StepPrinter printer(out_, {.terminal = true}, clock_);
  printer.begin("Boot two nodes");
  EXPECT_EQ(written(), "▸ Boot two nodes …");
  clock_.advance(milliseconds(7'900));
  printer.tick();
  EXPECT_EQ(written(), "\r\x1b[K▸ Boot two nodes … 7 s");
  printer.note("node-a is up");
  EXPECT_EQ(written(), "\r\x1b[K  node-a is up\n▸ Boot two nodes … 7 s");
  printer.succeed();
  EXPECT_EQ(written(), "\r\x1b[K✓ Boot two nodes                                 7.9 s\n");
  printer.tick();  // no step runs
  EXPECT_EQ(written(), "");
}

TEST_F(StepPrinterTest, NeverLetsTheRunningLineWrap) {
  StepPrinter printer(out_, {.terminal = true, .columns = 20}, clock_);
  printer.begin("A step with a very long name");
  EXPECT_EQ(written(), "▸ A step with a… …");
  clock_.advance(seconds(100));
  printer.tick();
  EXPECT_EQ(written(), "\r\x1b[K▸ A step w… … 100 s");
}

TEST_F(StepPrinterTest, ExplainsAFailureAndWhatToDo) {
  StepPrinter printer(out_, {}, clock_);
  printer.begin("Boot two nodes");
  written();
  clock_.advance(seconds(20));
  StepFailure failure;
  failure.error = Error(ErrorCode::kDeadlineExceeded, "node-b did not answer within 20 s",
                        "give it more time: --boot-timeout 60");
  failure.logNode = "node-b";
  for (int i = 1; i <= 14; ++i) failure.logs.push_back("line " + std::to_string(i));
  const Step step = printer.fail(failure);
  EXPECT_FALSE(step.ok);
  EXPECT_EQ(written(),
            "✗ Boot two nodes                                20.0 s\n"
            "  cause       node-b did not answer within 20 s\n"
            "  node-b log  line 3\n"
            "              line 4\n"
            "              line 5\n"
            "              line 6\n"
            "              line 7\n"
            "              line 8\n"
            "              line 9\n"
            "              line 10\n"
            "              line 11\n"
            "              line 12\n"
            "              line 13\n"
            "              line 14\n"
            "  what to do  give it more time: --boot-timeout 60\n");
}

TEST_F(StepPrinterTest, ShowsLogsOfAStrangerHarmlessly) {
  StepPrinter printer(out_, {}, clock_);
  printer.begin("Boot");
  StepFailure failure;
  failure.error = Error(ErrorCode::kIo, "bad \x1b[2Jcause");
  failure.logNode = "node\n-a";
  failure.logs = {"\x1b]0;owned\aoops\rhidden"};
  printer.fail(failure);
  const std::string text = written();
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("bad cause"));
  EXPECT_THAT(text, HasSubstr("node -a log oops hidden"));
}

TEST_F(StepPrinterTest, UsesColourOrAsciiAsTheStyleSays) {
  StepPrinter coloured(out_, {.colour = true}, clock_);
  coloured.begin("A");
  written();
  coloured.succeed();
  EXPECT_THAT(written(), HasSubstr("\x1b[32m✓\x1b[0m A"));
  StepPrinter ascii(out_, {.unicode = false}, clock_);
  ascii.begin("A");
  EXPECT_EQ(written(), "> A ...\n");
  ascii.fail({});
  EXPECT_THAT(written(), HasSubstr("x A"));
}

TEST_F(StepPrinterTest, LeavesTheCursorOnALineOfItsOwn) {
  {
    StepPrinter printer(out_, {.terminal = true}, clock_);
    printer.begin("A");
    written();
  }
  EXPECT_EQ(written(), "\n");
}

TEST_F(StepPrinterTest, RefusesTwoStepsAtOnce) {
  EXPECT_DEATH(
      {
        StepPrinter printer(out_, {}, clock_);
        printer.begin("A");
        printer.begin("B");
      },
      "");
  EXPECT_DEATH(StepPrinter(out_, {}, clock_).succeed(), "");
}

// Counts what is flushed to it, so that a test can wait for a redraw.
class CountingBuffer : public std::stringbuf {
 public:
  bool waitForFlushes(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(10), [&] { return flushes_ >= count; });
  }

 private:
  int sync() override {
    const std::lock_guard lock(mutex_);
    ++flushes_;
    changed_.notify_all();
    return 0;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int flushes_ = 0;
};

TEST(StepTicker, RedrawsByItselfAndStops) {
  CountingBuffer buffer;
  std::ostream out(&buffer);
  testing_support::ManualClock clock;
  StepPrinter printer(out, {.terminal = true}, clock);
  printer.begin("A");
  {
    const StepTicker ticker(printer, milliseconds(1));
    EXPECT_TRUE(buffer.waitForFlushes(4));
  }
  printer.succeed();
  EXPECT_THAT(buffer.str(), HasSubstr("\r\x1b[K▸ A …\r\x1b[K"));
}

TEST(StepTicker, StartsNothingWithoutATerminal) {
  std::ostringstream out;
  testing_support::ManualClock clock;
  StepPrinter printer(out, {}, clock);
  printer.begin("A");
  { const StepTicker ticker(printer, milliseconds(1)); }
  EXPECT_EQ(out.str(), "▸ A …\n");
}

}  // namespace
}  // namespace railhead::report

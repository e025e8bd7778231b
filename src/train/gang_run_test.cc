// Runs of shell commands: what the manifest says of each end.
#include "src/train/gang_run.h"

#include "src/digest/sha256.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temporary_folder.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::train {
namespace {

using testing::HasSubstr;

class GangRunTest : public testing::Test {
 protected:
  GangRunTest()
      : files_(os::RootedFilesystem::open("/").value()), folder_(temporary_.path() + "/run-0001") {
    std::signal(SIGPIPE, SIG_IGN);
    EXPECT_TRUE(folder_.create(*files_, "run file").has_value());
    run_.name = "run";
    run_.ranks = 1;
    run_.retry.restarts = 2;
    run_.retry.backoffSeconds = 0.01;
    run_.deadlines.stop = 1;
    manifest_.id = folder_.id();
  }

  Result<void> run(const std::string& script) {
    return run([script](const StartPlan&) -> Result<std::vector<launch::RankCommand>> {
      launch::RankCommand rank;
      rank.node = "here";
      rank.argv = {"sh", "-c", script};
      return std::vector{rank};
    });
  }
  Result<void> run(RankStarter starter) {
    GangRunSettings settings;
    settings.nullDevice = "/dev/null";
    settings.onEvent = [this](const RunEvent& event) {
      if (event.kind == RunEvent::Kind::kNote) notes_.push_back(event.text);
      if (event.kind == RunEvent::Kind::kCheckpoint) checkpoints_.push_back(event.step);
    };
    settings.checkpointsElsewhere = elsewhere_;
    settings.onStartOver = onStartOver_;
    return GangRun(folder_, run_, manifest_, *files_, *clock_, std::move(starter),
                   std::move(settings))
        .run();
  }
  void makeCheckpoint(std::uint64_t step, const std::string& content) {
    const std::string path = folder_.checkpoints() + "/" + checkpoint::checkpointName(step);
    std::filesystem::create_directories(path);
    std::ofstream(path + "/model") << content;
    checkpoint::Checkpoint checkpoint;
    checkpoint.step = step;
    checkpoint.world = 1;
    checkpoint.files = {{"model", content.size(), digest::sha256Hex(content)}};
    std::ofstream(path + "/checkpoint.json") << checkpoint::writeCheckpoint(checkpoint);
  }
  Manifest kept() { return folder_.readManifest(*files_).value(); }

  testing_support::TemporaryFolder temporary_;
  std::unique_ptr<os::Filesystem> files_;
  RunFolder folder_;
  RunFile run_;
  Manifest manifest_;
  os::SystemClock systemClock_;
  os::Clock* clock_ = &systemClock_;
  bool elsewhere_ = false;
  std::function<Result<void>()> onStartOver_;
  std::vector<std::string> notes_;
  std::vector<std::uint64_t> checkpoints_;  // told as new
};

TEST_F(GangRunTest, OneThatEndsWellHasFinished) {
  ASSERT_TRUE(run("exit 0").has_value());
  EXPECT_EQ(kept().state, "finished");
  EXPECT_EQ(kept().attempts.size(), 1U);
  EXPECT_FALSE(kept().ended.empty());
}

TEST_F(GangRunTest, AFailureIsTriedAgainWithinTheBound) {
  ASSERT_TRUE(run("echo no luck >&2; exit 9").has_value());
  const auto manifest = kept();
  EXPECT_EQ(manifest.state, "failed");
  ASSERT_EQ(manifest.attempts.size(), 3U);
  EXPECT_THAT(manifest.attempts[0].lastLines, testing::ElementsAre("no luck"));
  EXPECT_THAT(manifest.reason, HasSubstr("no luck"));
  EXPECT_THAT(manifest.reason, HasSubstr("after 2 restarts"));
}

TEST_F(GangRunTest, OnlyTheFirstStartOfAWatcherIsTheFirst) {
  std::vector<bool> first;
  ASSERT_TRUE(run([&](const StartPlan& plan) -> Result<std::vector<launch::RankCommand>> {
                first.push_back(plan.first);
                launch::RankCommand rank;
                rank.argv = {"false"};
                return std::vector{rank};
              }).has_value());
  EXPECT_THAT(first, testing::ElementsAre(true, false, false));
  first.clear();
  ASSERT_TRUE(run([&](const StartPlan& plan) -> Result<std::vector<launch::RankCommand>> {
                first.push_back(plan.first);
                EXPECT_EQ(plan.attempt, 4U);
                launch::RankCommand rank;
                rank.argv = {"true"};
                return std::vector{rank};
              }).has_value());
  EXPECT_THAT(first, testing::ElementsAre(true));
}

TEST_F(GangRunTest, RanksThatCannotBeStartedAreAFailure) {
  const auto ended = run([](const StartPlan&) -> Result<std::vector<launch::RankCommand>> {
    return Error(ErrorCode::kEnvironment, "no such place");
  });
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(kept().state, "failed");
  EXPECT_EQ(kept().attempts.back().end, "failed");
  EXPECT_EQ(kept().attempts.back().reason, "no such place");
}

TEST_F(GangRunTest, NothingWholeToGoOnFromIsAFailureAndChangesNothing) {
  makeCheckpoint(5, "weights");
  std::ofstream(folder_.checkpoints() + "/step-00000005/model") << "other";
  const auto ended = run("exit 0");
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(kept().state, "failed");
  EXPECT_TRUE(std::filesystem::exists(folder_.checkpoints() + "/step-00000005/model"));
}

// Shared storage has such moments: the checkpoint is good, and stays under its name.
TEST_F(GangRunTest, ACheckpointThatCannotBeReadNowIsNotSetAside) {
  if (::geteuid() == 0) {
    // Nothing is unreadable for root but what is no file at all.
    makeCheckpoint(5, "weights");
    const std::string record = folder_.checkpoints() + "/step-00000005/checkpoint.json";
    std::filesystem::remove(record);
    std::filesystem::create_directory(record);
  } else {
    makeCheckpoint(5, "weights");
    std::filesystem::permissions(folder_.checkpoints() + "/step-00000005/model",
                                 std::filesystem::perms::none);
  }
  const auto ended = run("exit 0");
  ASSERT_FALSE(ended.has_value());
  EXPECT_NE(ended.error().code, ErrorCode::kCorrupt) << ended.error().message;
  EXPECT_TRUE(std::filesystem::exists(folder_.checkpoints() + "/step-00000005"));
}

TEST_F(GangRunTest, AStopThatIsAskedForBeforeItStartsIsHeeded) {
  std::ofstream(folder_.stopFile()) << "";
  ASSERT_TRUE(run("touch " + temporary_.path() + "/ran").has_value());
  EXPECT_EQ(kept().state, "stopped");
  EXPECT_EQ(kept().attempts.back().end, "stopped");
  EXPECT_FALSE(std::filesystem::exists(temporary_.path() + "/ran"));
}

TEST_F(GangRunTest, OfCheckpointsThatAreGoneTheContentStays) {
  run_.keepCheckpoints = 1;
  makeCheckpoint(1, "one");
  ASSERT_TRUE(run("exit 0").has_value());
  makeCheckpoint(2, "two");
  ASSERT_TRUE(run("exit 0").has_value());
  const auto manifest = kept();
  ASSERT_EQ(manifest.checkpoints.size(), 2U);
  EXPECT_TRUE(manifest.checkpoints[0].files.empty());
  EXPECT_EQ(manifest.checkpoints[0].content.size(), 64U);
  EXPECT_EQ(manifest.checkpoints[1].files.size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(folder_.checkpoints() + "/step-00000001"));
}

// As pods are: on a node that is known once they run, with checkpoints where we cannot read them.
TEST_F(GangRunTest, WhatIsElsewhereIsGoneOnFromAsItWasTold) {
  elsewhere_ = true;
  int over = 0;
  onStartOver_ = [&] {
    ++over;
    return Result<void>();
  };
  std::vector<std::string> resumed;
  const auto told = [](int step) {
    const std::string number = std::to_string(step);
    return R"(echo '{"schema":"railhead.metrics/1","step":)" + number +
           R"(,"loss":1}' >&2; echo '{"schema":"railhead.metrics/1","event":"checkpoint","step":)" +
           number + R"(,"path":"/claim/step-)" + number + R"("}' >&2;)";
  };
  const auto done = run([&](const StartPlan& plan) -> Result<std::vector<launch::RankCommand>> {
    resumed.push_back(plan.resume);
    launch::RankCommand rank;
    rank.node = "pod";
    const std::string end = plan.attempt == 1 ? "sleep 0.3; echo last >&2; exit 9" : "exit 0";
    rank.argv = {
        "sh", "-c",
        "echo 'railhead-node far-1' >&2;" + told(static_cast<int>(plan.attempt) * 5) + end};
    return std::vector{rank};
  });
  ASSERT_TRUE(done.has_value()) << done.error().describe();
  EXPECT_EQ(manifest_.state, "finished");
  EXPECT_THAT(resumed, testing::ElementsAre("", "/claim/step-5"));
  EXPECT_EQ(over, 2);
  ASSERT_EQ(manifest_.attempts.size(), 2U);
  EXPECT_EQ(manifest_.attempts[0].reason, "rank 0 (node far-1) ended with exit code 9: last");
  EXPECT_THAT(manifest_.attempts[0].lastLines, testing::ElementsAre("last"));
  EXPECT_EQ(manifest_.attempts[1].fromStep, 5U);
  EXPECT_EQ(manifest_.checkpoints.size(), 2U);
}

// Who lists its folder when it starts tells of all that stands there.
TEST_F(GangRunTest, ACheckpointIsNewOnce) {
  elsewhere_ = true;
  // A file that the ranks write themselves; what they print is held against what was told.
  const auto done = run([&](const StartPlan& plan) -> Result<std::vector<launch::RankCommand>> {
    launch::RankCommand rank;
    std::string script = "exec 2>>" + folder_.metricsFile(0) + "\n";
    for (std::uint64_t step = 5; step <= plan.attempt * 10; step += 5) {
      script += R"(echo '{"schema":"railhead.metrics/1","event":"checkpoint","step":)" +
                std::to_string(step) + R"(,"path":"/claim/step-)" + std::to_string(step) +
                "\"}' >&2\n";
    }
    rank.argv = {"sh", "-c", script + (plan.attempt == 1 ? "sleep 0.2; exit 9" : "exit 0")};
    return std::vector{rank};
  });
  ASSERT_TRUE(done.has_value()) << done.error().describe();
  EXPECT_THAT(checkpoints_, testing::ElementsAre(5, 10, 15, 20));
  EXPECT_EQ(manifest_.checkpoints.size(), 4U);
}

// Before pods are made, those of an earlier start go: that takes what it takes.
TEST_F(GangRunTest, TheTimeToStartBeginsWhenTheRanksAreMade) {
  testing_support::ManualClock clock;
  clock_ = &clock;
  run_.deadlines.start = 60;
  run_.retry.restarts = 0;
  const auto done = run([&](const StartPlan&) -> Result<std::vector<launch::RankCommand>> {
    clock.advance(std::chrono::minutes(2));
    launch::RankCommand rank;
    rank.argv = {"sleep", "0.3"};
    return std::vector{rank};
  });
  ASSERT_TRUE(done.has_value()) << done.error().describe();
  EXPECT_EQ(kept().state, "finished") << kept().reason;
}

// Once for each start: a trainer whose loss is NaN says so in every step.
TEST_F(GangRunTest, MetricsThatDoNotCountAreTold) {
  const std::string nan = R"(echo '{"schema":"railhead.metrics/1","step":1,"loss":NaN}' >&2;)";
  ASSERT_TRUE(run(nan + nan).has_value());
  EXPECT_THAT(notes_, testing::ElementsAre(HasSubstr("rank 0 told metrics that are none")));
}

TEST_F(GangRunTest, LogsThatAreCutAreTold) {
  std::filesystem::create_symlink("/dev/full", folder_.logFile(0));
  ASSERT_TRUE(run("echo one; echo two").has_value());
  EXPECT_THAT(notes_, testing::ElementsAre(HasSubstr("rank-0.log: No space left on device")));
  EXPECT_EQ(kept().state, "finished");
}

// Who watches may be killed at any time.
TEST_F(GangRunTest, WhereItRunsIsKeptWhileItRuns) {
  const std::string file = folder_.manifestFile();
  ASSERT_TRUE(run("for i in $(seq 1000); do grep -q here " + file +
                  " && break; sleep 0.01; done; cat " + file + " >" + temporary_.path() + "/seen")
                  .has_value());
  const auto seen = parseManifest(
      files_->readFile(temporary_.path() + "/seen", std::size_t{1} << 20).value(), "seen");
  ASSERT_TRUE(seen.has_value()) << seen.error().describe();
  EXPECT_THAT(seen->place.order, testing::ElementsAre("here"));
  ASSERT_EQ(seen->attempts.size(), 1U);
  EXPECT_EQ(seen->attempts[0].end, "running");
}

TEST_F(GangRunTest, AStartWhoseWatcherWasKilledIsNotRunningForEver) {
  ASSERT_TRUE(run("exit 0").has_value());
  manifest_.attempts.back().end = "running";
  ASSERT_TRUE(run("exit 0").has_value());
  ASSERT_EQ(kept().attempts.size(), 2U);
  EXPECT_EQ(kept().attempts[0].end, "killed");
  EXPECT_EQ(kept().attempts[1].end, "finished");
}

// Two gangs must not write into one place.
TEST_F(GangRunTest, WhatAStartLeftAndCannotBeTakenAwayEndsTheRun) {
  onStartOver_ = [] { return Result<void>(Error(ErrorCode::kUnavailable, "pods are left")); };
  const auto done = run("exit 9");
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().message, "pods are left");
  EXPECT_EQ(manifest_.state, "failed");
  EXPECT_EQ(manifest_.attempts.size(), 1U);
}

}  // namespace
}  // namespace railhead::train

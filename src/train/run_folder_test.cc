// Folders of runs in every state that a killed process or a person leaves them in.
#include "src/train/run_folder.h"

#include "src/digest/sha256.h"
#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest()
      : files_(os::RootedFilesystem::open("/").value()), run_(temporary_.path() + "/run-0001") {}

  os::UniqueFd create() {
    auto held = run_.create(*files_, "run file");
    EXPECT_TRUE(held.has_value()) << held.error().describe();
    return held.has_value() ? std::move(*held) : os::UniqueFd();
  }
  std::vector<ListedRun> listed() { return listRuns(*files_, temporary_.path()).value(); }
  void makeCheckpoint(std::uint64_t step) const {
    const std::string path = run_.checkpoints() + "/" + checkpoint::checkpointName(step);
    std::filesystem::create_directories(path);
    std::ofstream(path + "/model") << "weights";
    checkpoint::Checkpoint checkpoint;
    checkpoint.step = step;
    checkpoint.world = 1;
    checkpoint.files = {{"model", 7, digest::sha256Hex("weights")}};
    std::ofstream(path + "/checkpoint.json") << checkpoint::writeCheckpoint(checkpoint);
  }
  static std::string stepLine(std::uint64_t step) {
    return R"({"schema":"railhead.metrics/1","step":)" + std::to_string(step) + R"(,"loss":4.5})" +
           "\n";
  }

  testing_support::TemporaryFolder temporary_;
  std::unique_ptr<os::Filesystem> files_;
  RunFolder run_;
};

TEST_F(RunFolderTest, OneThatIsJustBeingMadeIsNotListed) {
  const auto held = create();
  EXPECT_TRUE(run_.isLocked());
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(RunFolderTest, OneThatNeverBeganIsToBeRemoved) {
  create();
  EXPECT_EQ(run_.holds(*files_), Holds::kUnstarted);
  const auto runs = listed();
  ASSERT_EQ(runs.size(), 1U);
  ASSERT_FALSE(runs[0].manifest.has_value());
  EXPECT_EQ(runs[0].manifest.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(runs[0].manifest.error().message, HasSubstr("never began"));
  EXPECT_THAT(runs[0].manifest.error().remedy, HasSubstr("remove the folder"));
  // Killed while it wrote the manifest.
  std::ofstream(run_.path() + "/.manifest.json.tmp1.0") << "{";
  EXPECT_EQ(run_.holds(*files_), Holds::kUnstarted);
}

TEST_F(RunFolderTest, OneThatBeganWantsItsManifestBack) {
  create();
  std::ofstream(run_.logFile(0)) << "";
  EXPECT_EQ(run_.holds(*files_), Holds::kRemains);
  const auto damaged = run_.readManifest(*files_);
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(damaged.error().remedy, HasSubstr("put manifest.json back"));
  std::filesystem::remove(run_.logFile(0));
  makeCheckpoint(3);
  EXPECT_EQ(run_.holds(*files_), Holds::kRemains);
}

TEST_F(RunFolderTest, SomebodysProjectIsNoRun) {
  std::filesystem::create_directories(run_.checkpoints() + "/best");
  std::ofstream(run_.runFile()) << "name: mine\n";
  EXPECT_EQ(run_.holds(*files_), Holds::kNoRun);
  std::filesystem::remove(run_.checkpoints() + "/best");
  for (const char* part : {"/metrics", "/logs"})
    std::filesystem::create_directories(run_.path() + part);
  std::ofstream(run_.path() + "/train.py") << "";
  EXPECT_EQ(run_.holds(*files_), Holds::kNoRun);
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(RunFolderTest, TheNewestStepIsReadFromTheEnd) {
  create();
  EXPECT_EQ(run_.readNewestStep(0).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(appendText(run_.metricsFile(0), "\n").has_value());
  EXPECT_FALSE(run_.readNewestStep(0).value().has_value());
  std::string text;
  for (std::uint64_t step = 1; step <= 40000; ++step) text += stepLine(step);
  ASSERT_GT(text.size(), 2U << 20);
  ASSERT_TRUE(appendText(run_.metricsFile(0), text).has_value());
  EXPECT_EQ(run_.readNewestStep(0).value()->step, 40000U);
  ASSERT_TRUE(appendText(run_.metricsFile(0), resumedLine(2, 39990)).has_value());
  EXPECT_EQ(run_.readNewestStep(0).value()->step, 39990U);
  // Back behind what is read: not known, rather than wrong.
  ASSERT_TRUE(appendText(run_.metricsFile(0), resumedLine(3, 10)).has_value());
  EXPECT_EQ(run_.readNewestStep(0).error().code, ErrorCode::kExhausted);
  ASSERT_TRUE(appendText(run_.metricsFile(0), stepLine(11)).has_value());
  EXPECT_EQ(run_.readNewestStep(0).value()->step, 11U);
  std::filesystem::remove(run_.metricsFile(0));
  std::filesystem::create_directories(run_.metricsFile(0));
  EXPECT_EQ(run_.readNewestStep(0).error().code, ErrorCode::kCorrupt);
}

// As after a way back to an earlier one.
TEST_F(RunFolderTest, NewCheckpointsAreFoundBelowTheNewestKnown) {
  create();
  Manifest manifest;
  manifest.state = "running";
  for (const std::uint64_t step : {3, 9}) makeCheckpoint(step);
  EXPECT_THAT(takeNewCheckpoints(*files_, run_, manifest), ElementsAre(3, 9));
  makeCheckpoint(6);
  std::filesystem::create_directories(run_.checkpoints() + "/step-00000007");
  EXPECT_THAT(takeNewCheckpoints(*files_, run_, manifest), ElementsAre(6));
  makeCheckpoint(12);
  bringUpToDate(*files_, run_, std::nullopt, manifest);
  EXPECT_EQ(manifest.checkpoints.size(), 4U);
  EXPECT_EQ(manifest.metrics.steps, 12U);
}

}  // namespace
}  // namespace railhead::train

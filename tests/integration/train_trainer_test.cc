// What the reference trainer refuses under `railhead train`: each with the field and what to do,
// and nothing is overwritten.
#include "tests/integration/trainer_fixture.h"

#include <fstream>

namespace railhead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
namespace fs = std::filesystem;

constexpr char kOnce[] = "retry: {restarts: 1, backoffSeconds: 0}\ncheckpoints: {keep: 0}\n";

class TrainerRefusals : public TrainerFixture {
 protected:
  // Every file below the folder of checkpoints, with what is in it.
  std::map<std::string, std::string> checkpointsOf(const std::string& run) const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(folderOf(run).checkpoints())) {
      if (entry.is_regular_file())
        out[entry.path().string()] = testing_support::readText(entry.path().string());
    }
    return out;
  }
  // The trainer behind a script, which may change from one start to the next.
  void writeScript(const std::vector<std::string>& more) const {
    std::ofstream script(at("train.sh"));
    script << "exec";
    for (const auto& word : trainer(more)) script << ' ' << word;
    script << '\n';
  }
  // A run of the script that ended at step 6 of 12.
  void runToSix(const std::string& name, const std::string& yaml) const {
    writeScript({"--steps", "6", "--width", "32"});
    const auto done = run(runFileOf(name, "[sh, train.sh]", std::string(kOnce) + yaml), name);
    ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
    ASSERT_THAT(checkpointNames(name), ElementsAre("step-00000003", "step-00000006"));
    // As a watcher leaves it that was killed.
    reopen(name);
    writeScript({"--steps", "12", "--width", "32"});
  }
  void reopen(const std::string& name) const {
    auto kept = manifest(name);
    kept.state = "failed";
    const auto files = std::move(*os::RootedFilesystem::open("/"));
    ASSERT_TRUE(folderOf(name).writeManifest(*files, kept).has_value());
  }
  // `resume` with another script is refused unless it is asked for.
  os::ProcessResult resumeWithScript(const std::string& name) const {
    return train({"resume", at(name), "--changed-code"});
  }
};

TEST_F(TrainerRefusals, ARunThatWasInterruptedGoesOn) {
  runToSix("a", "");
  const auto done = resumeWithScript("a");
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  EXPECT_EQ(manifest("a").attempts.back().fromStep, 6U);
  EXPECT_EQ(steps("a").back().step, 12U);
}

TEST_F(TrainerRefusals, AnotherModelShapeIsNamedAndNotTriedAgain) {
  runToSix("a", "");
  const auto before = checkpointsOf("a");
  writeScript({"--steps", "12", "--width", "64"});
  const auto done = resumeWithScript("a");
  EXPECT_EQ(done.exitCode, 1);
  EXPECT_THAT(done.errorOutput, HasSubstr("is of another model: its width is 32, here 64"));
  EXPECT_THAT(done.errorOutput, HasSubstr("not tried again"));
  EXPECT_THAT(manifest("a").attempts, SizeIs(2));
  EXPECT_THAT(manifest("a").attempts.back().lastLines,
              testing::Contains(HasSubstr("remedy: give the same --model")));
  EXPECT_EQ(checkpointsOf("a"), before);
  expectNothingRuns();
}

// The run file names them: they are looked at before anything is started.
TEST_F(TrainerRefusals, ChangedDataAreRefusedByTheirDigest) {
  runToSix("a", "data: [{path: text}]\n");
  const auto before = checkpointsOf("a");
  std::ofstream(at("text"), std::ios::app) << "more";
  const auto done = resumeWithScript("a");
  EXPECT_EQ(done.exitCode, 3);
  EXPECT_THAT(done.errorOutput, HasSubstr("data[0].sha256: text has "));
  EXPECT_THAT(done.errorOutput, HasSubstr("bring the data back"));
  EXPECT_THAT(manifest("a").attempts, SizeIs(1));
  EXPECT_EQ(checkpointsOf("a"), before);
}

// It does not: then the trainer itself tells them from those of the checkpoint.
TEST_F(TrainerRefusals, ChangedDataThatTheRunFileDoesNotNameAreRefusedByTheTrainer) {
  runToSix("a", "");
  const auto before = checkpointsOf("a");
  std::ofstream(at("text"), std::ios::app) << "more";
  const auto done = resumeWithScript("a");
  EXPECT_EQ(done.exitCode, 1);
  EXPECT_THAT(done.errorOutput, HasSubstr("is of another run: its data_sha256 is '"));
  EXPECT_THAT(manifest("a").attempts.back().lastLines,
              testing::Contains(HasSubstr("--resume-anyway")));
  EXPECT_THAT(manifest("a").attempts, SizeIs(2));
  EXPECT_EQ(checkpointsOf("a"), before);
}

TEST_F(TrainerRefusals, CheckpointsThatAreNotWholeAreNoneToGoOnFrom) {
  runToSix("a", "");
  for (const char* step : {"step-00000003", "step-00000006"}) {
    const auto path = folderOf("a").checkpoints() + "/" + step + "/rank-00001-of-00002.safetensors";
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-3, std::ios::end);
    file.put('!');
  }
  const auto before = checkpointsOf("a");
  const auto done = resumeWithScript("a");
  EXPECT_EQ(done.exitCode, 1);
  EXPECT_THAT(done.errorOutput, HasSubstr("nothing to go on from"));
  EXPECT_THAT(done.errorOutput, HasSubstr("rank-00001-of-00002.safetensors has the digest"));
  EXPECT_THAT(done.errorOutput, HasSubstr("bring the checkpoint back"));
  EXPECT_EQ(checkpointsOf("a"), before);
}

// Storage that has a bad moment says nothing of the checkpoint: it is not passed over for an older
// one.
TEST_F(TrainerRefusals, ACheckpointThatCannotBeReadIsNotPassedOver) {
  runToSix("a", "");
  const auto record = folderOf("a").checkpoints() + "/step-00000006/checkpoint.json";
  fs::rename(record, at("kept.json"));
  fs::create_directory(record);  // it is there, and reading it fails
  const auto before = checkpointsOf("a");
  const auto done = resumeWithScript("a");
  EXPECT_EQ(done.exitCode, 1);
  EXPECT_THAT(done.errorOutput, HasSubstr("step-00000006"));
  EXPECT_EQ(checkpointsOf("a"), before);
  EXPECT_THAT(checkpointNames("a"), ElementsAre("step-00000003", "step-00000006"));
  fs::remove(record);
  fs::rename(at("kept.json"), record);
  EXPECT_EQ(resumeWithScript("a").exitCode, 0);
  EXPECT_EQ(manifest("a").attempts.back().fromStep, 6U);
}

// Checkpoints on a file system of their own that has room for two; the run's folder has room, and
// so tells what happened.
TEST_F(TrainerRefusals, AFullDiskIsNamedAndWhatWasWholeStays) {
  const std::string small = at("small");
  const auto file =
      trainerFile("full", {"--steps", "12", "--width", "64", "--checkpoints", small + "/c"}, kOnce);
  const auto result =
      onSmallDisk("2m",
                  "\"$2\" train run \"$3\" --folder \"$4\"; code=$?\n"
                  "ls \"$1/c\"; cat \"$1/c/step-00000003/checkpoint.json\"; exit $code",
                  {file, at("a")});
  if (!result.has_value()) GTEST_SKIP() << "no small file system can be mounted here";
  expectFullAfterTwo(*result);
  EXPECT_THAT(result->output, HasSubstr(R"("schema":"railhead.checkpoint/1","step":3)"));
  // The second start, from the beginning, could not even replace the first one.
  const auto kept = manifest("a");
  ASSERT_THAT(kept.attempts, SizeIs(2));
  EXPECT_THAT(kept.attempts[0].reason, HasSubstr("checkpoint of step 9: "));
  EXPECT_THAT(kept.attempts[0].lastLines,
              testing::Contains(HasSubstr("remedy: make room on that disk")));
  EXPECT_THAT(kept.attempts[1].reason, HasSubstr("checkpoint of step 3: "));
}

}  // namespace
}  // namespace railhead

#include "src/checkpoint/writing.h"

#include "src/checkpoint/reading.h"
#include "src/digest/sha256.h"
#include "tests/support/temporary_folder.h"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::checkpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string textIn(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void putText(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

class CheckpointFolder : public testing::Test {
 protected:
  // A complete checkpoint with one file.
  void make(std::uint64_t step, const std::string& content) {
    const auto part = beginCheckpoint(files(), folder(), step);
    ASSERT_TRUE(part.has_value()) << part.error().describe();
    putText(*part + "/a.bin", content);
    const auto path = finishCheckpoint(files(), folder(), recordOf(step, content));
    ASSERT_TRUE(path.has_value()) << path.error().describe();
    EXPECT_EQ(*path, folder() + "/" + checkpointName(step));
  }
  static Checkpoint recordOf(std::uint64_t step, const std::string& content) {
    Checkpoint out;
    out.step = step;
    out.world = 2;
    out.files = {{"a.bin", content.size(), digest::sha256Hex(content)}};
    out.model = {{"layers", "2"}};
    out.run = {{"seed", "1"}};
    return out;
  }
  std::uint64_t latest() {
    const auto found = newestCheckpoint(files(), folder());
    EXPECT_TRUE(found.has_value()) << found.error().describe();
    notes_ = found.has_value() ? found->notes : std::vector<std::string>();
    return found.has_value() && found->checkpoint ? found->checkpoint->step : 0;
  }
  os::Filesystem& files() { return *files_; }
  std::string folder() const { return temporary_.path() + "/checkpoints"; }

  testing_support::TemporaryFolder temporary_;
  std::unique_ptr<os::Filesystem> files_ = std::move(*os::RootedFilesystem::open("/"));
  std::vector<std::string> notes_;
};

TEST_F(CheckpointFolder, TheNewestCompleteOneIsTaken) {
  EXPECT_EQ(latest(), 0U);
  make(5, "five");
  make(10, "ten");
  EXPECT_EQ(latest(), 10U);
  EXPECT_THAT(notes_, testing::IsEmpty());
  auto record = readCheckpoint(files(), folder() + "/step-00000010", Depth::kDigests);
  ASSERT_TRUE(record.has_value()) << record.error().describe();
  record->sha256.clear();
  record->content.clear();
  EXPECT_EQ(*record, recordOf(10, "ten"));
}

TEST_F(CheckpointFolder, WhatIsNotCompleteIsIgnoredWithANote) {
  make(5, "five");
  make(10, "ten");
  putText(folder() + "/step-00000010/a.bin", "tex");
  EXPECT_EQ(latest(), 5U);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("is not what was written")));
  putText(folder() + "/step-00000010/a.bin", "te");
  EXPECT_EQ(latest(), 5U);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("has 2 bytes: expected 3")));
  ASSERT_TRUE(files().remove(folder() + "/step-00000010/a.bin").has_value());
  EXPECT_EQ(latest(), 5U);
  ASSERT_TRUE(files().remove(folder() + "/step-00000010/checkpoint.json").has_value());
  EXPECT_EQ(latest(), 5U);
  putText(folder() + "/step-00000010/checkpoint.json", "{");
  EXPECT_EQ(latest(), 5U);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("is not valid JSON")));
  ASSERT_TRUE(beginCheckpoint(files(), folder(), 15).has_value());
  EXPECT_EQ(latest(), 5U);
}

TEST_F(CheckpointFolder, AnotherOfTheSameStepReplacesTheFirst) {
  make(5, "one");
  make(5, "other");
  EXPECT_EQ(latest(), 5U);
  EXPECT_EQ(textIn(folder() + "/step-00000005/a.bin"), "other");
  EXPECT_THAT(*files().listDirectory(folder()), ElementsAre("step-00000005"));
}

TEST_F(CheckpointFolder, PruningKeepsTheNewest) {
  for (const std::uint64_t step : {1U, 2U, 3U, 4U}) make(step, "x");
  ASSERT_TRUE(beginCheckpoint(files(), folder(), 9).has_value());
  ASSERT_TRUE(pruneCheckpoints(files(), folder(), 4, 2).has_value());
  EXPECT_THAT(*files().listDirectory(folder()), ElementsAre("step-00000003", "step-00000004"));
}

TEST_F(CheckpointFolder, PruningKeepsAllWhenAskedTo) {
  for (const std::uint64_t step : {1U, 2U, 3U}) make(step, "x");
  ASSERT_TRUE(pruneCheckpoints(files(), folder(), 3, 0).has_value());
  EXPECT_EQ(files().listDirectory(folder())->size(), 3U);
}

// Who goes on from an earlier checkpoint has left the branch of the later ones.
TEST_F(CheckpointFolder, WhatWasJustWrittenStaysAndLaterOnesAreLeft) {
  for (const std::uint64_t step : {100U, 200U, 300U}) make(step, "x");
  make(150, "new");
  ASSERT_TRUE(pruneCheckpoints(files(), folder(), 150, 2).has_value());
  EXPECT_THAT(*files().listDirectory(folder()),
              ElementsAre("step-00000100", "step-00000150", "step-00000200.left-1",
                          "step-00000300.left-1"));
  EXPECT_EQ(latest(), 150U);
}

TEST_F(CheckpointFolder, AnInterruptedAttemptIsBegunAnew) {
  const auto part = beginCheckpoint(files(), folder(), 5);
  ASSERT_TRUE(part.has_value());
  putText(*part + "/a.bin", "half");
  putText(*part + "/b.bin", "half");
  make(5, "whole");
  EXPECT_THAT(*files().listDirectory(folder() + "/step-00000005"),
              ElementsAre("a.bin", "checkpoint.json"));
}

}  // namespace
}  // namespace railhead::checkpoint

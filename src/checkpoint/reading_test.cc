#include "src/checkpoint/reading.h"

#include "src/checkpoint/writing.h"
#include "src/digest/sha256.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::checkpoint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Checkpoints : public testing::Test {
 protected:
  Checkpoints()
      : folder_((std::filesystem::temp_directory_path() /
                 ("railhead-checkpoint-" + std::to_string(::getpid())))
                    .string()),
        files_(os::RootedFilesystem::open("/").value()) {
    std::filesystem::create_directories(folder_);
  }
  ~Checkpoints() override { std::filesystem::remove_all(folder_); }

  static Checkpoint describedBy(std::uint64_t step, const std::string& content) {
    Checkpoint out;
    out.step = step;
    out.world = 2;
    out.files = {{"model", content.size(), digest::sha256Hex(content)}};
    out.model = {{"layers", "12"}, {"shape", "[2,3]"}};
    return out;
  }
  std::string make(std::uint64_t step, const std::string& content = "weights") {
    const std::string path = folder_ + "/" + checkpointName(step);
    std::filesystem::create_directories(path);
    std::ofstream(path + "/model") << content;
    std::ofstream(path + "/checkpoint.json") << writeCheckpoint(describedBy(step, content));
    return path;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }

  std::string folder_;
  std::unique_ptr<os::Filesystem> files_;
};

TEST_F(Checkpoints, TheNewestThatIsWholeIsTaken) {
  make(3);
  make(6);
  const std::string broken = make(9);
  std::ofstream(broken + "/model") << "weighty";  // of the same size
  std::filesystem::create_directories(folder_ + "/.step-00000012.part");
  std::filesystem::create_directories(folder_ + "/step-00000015");
  const auto newest = newestCheckpoint(*files_, folder_);
  ASSERT_TRUE(newest.has_value()) << newest.error().describe();
  ASSERT_TRUE(newest->checkpoint.has_value());
  EXPECT_EQ(newest->checkpoint->step, 6U);
  EXPECT_EQ(newest->path, folder_ + "/step-00000006");
  ASSERT_THAT(newest->notes, SizeIs(2));
  EXPECT_THAT(newest->notes[0], HasSubstr("step-00000015 is no complete checkpoint"));
  EXPECT_THAT(newest->notes[1], HasSubstr("step-00000009 is no complete checkpoint: model has the "
                                          "digest"));
}

TEST_F(Checkpoints, AMissingFolderHasNone) {
  const auto newest = newestCheckpoint(*files_, folder_ + "/none");
  ASSERT_TRUE(newest.has_value());
  EXPECT_FALSE(newest->checkpoint.has_value());
  EXPECT_THAT(newest->notes, IsEmpty());
}

TEST_F(Checkpoints, OneUnderAnotherNameOrOfAnotherSizeIsNone) {
  const std::string path = make(3);
  std::filesystem::rename(path, folder_ + "/step-00000004");
  const auto renamed = readCheckpoint(*files_, folder_ + "/step-00000004", Depth::kSizes);
  ASSERT_FALSE(renamed.has_value());
  EXPECT_THAT(renamed.error().message, HasSubstr("checkpoint.json says step 3"));
  const std::string cut = make(6);
  std::filesystem::resize_file(cut + "/model", 2);
  const auto shorter = readCheckpoint(*files_, cut, Depth::kSizes);
  ASSERT_FALSE(shorter.has_value());
  EXPECT_EQ(shorter.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(shorter.error().message, HasSubstr("model has 2 bytes"));
  const auto none = readCheckpoint(*files_, folder_ + "/step-00000099", Depth::kSizes);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
}

TEST_F(Checkpoints, WhatIsInTheWayIsSetAsideAndNeverLost) {
  make(3);
  make(6);
  std::filesystem::remove(folder_ + "/step-00000003/model");
  const auto moved = setAside(*files_, folder_, 5);
  ASSERT_TRUE(moved.has_value()) << moved.error().describe();
  EXPECT_THAT(*moved, SizeIs(2));
  EXPECT_THAT(names(), ElementsAre("step-00000003.broken-1", "step-00000006.broken-1"));
  make(6);
  ASSERT_TRUE(setAside(*files_, folder_, 5).has_value());
  EXPECT_THAT(names(), ElementsAre("step-00000003.broken-1", "step-00000006.broken-1",
                                   "step-00000006.broken-2"));
}

TEST_F(Checkpoints, RemovingLeavesNothingAndCanBeRepeated) {
  make(3);
  make(6);
  std::filesystem::create_directories(folder_ + "/.step-00000009.part");
  std::ofstream(folder_ + "/.step-00000009.part/model") << "half";
  std::filesystem::create_directories(folder_ + "/.step-00000001.gone");
  std::ofstream(folder_ + "/.keep") << "another's";
  ASSERT_TRUE(removeUnfinished(*files_, folder_).has_value());
  ASSERT_TRUE(removeCheckpoint(*files_, folder_, 3).has_value());
  ASSERT_TRUE(removeCheckpoint(*files_, folder_, 3).has_value());
  EXPECT_THAT(names(), ElementsAre(".keep", "step-00000006"));
}

}  // namespace
}  // namespace railhead::checkpoint

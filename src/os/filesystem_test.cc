#include "src/os/filesystem.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::os {
namespace {

class RootedFilesystemTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "railhead-os-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    files_ = std::move(*RootedFilesystem::open(root_));
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  std::string root_;
  std::unique_ptr<Filesystem> files_;
};

TEST_F(RootedFilesystemTest, ReadsWithinTheLimit) {
  put("/sys/a", "12\n");
  EXPECT_EQ(*files_->readFile("/sys/a"), "12\n");
  EXPECT_EQ(*files_->readTrimmed("/sys/a"), "12");
  EXPECT_EQ(*files_->readUnsigned("/sys/a"), 12U);
  EXPECT_EQ(files_->readFile("/sys/a", 2).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(files_->readFile("/sys/b").error().code, ErrorCode::kNotFound);
  put("/sys/c", "twelve");
  EXPECT_EQ(files_->readUnsigned("/sys/c").error().code, ErrorCode::kCorrupt);
}

TEST_F(RootedFilesystemTest, NeverLeavesItsRoot) {
  put("/etc/inside", "inside");
  ASSERT_EQ(symlink("/etc/inside", (root_ + "/absolute").c_str()), 0);
  ASSERT_EQ(symlink("../../../../etc/inside", (root_ + "/upward").c_str()), 0);
  EXPECT_EQ(*files_->readFile("/absolute"), "inside");
  EXPECT_EQ(*files_->readFile("/upward"), "inside");
  EXPECT_EQ(*files_->readFile("/../../etc/inside"), "inside");
  EXPECT_EQ(*files_->linkName("/absolute"), "inside");
}

// Netdevs are renamed while their links, full of "..", are followed.
TEST_F(RootedFilesystemTest, RenamesElsewhereDoNotDisturb) {
  put("/a/b/file", "1");
  std::filesystem::create_directories(root_ + "/a/c");
  ASSERT_EQ(symlink("../../a/c/../b", (root_ + "/a/c/link").c_str()), 0);
  std::atomic<bool> stop = false;
  std::thread renamer([&] {
    put("/x/one", "");
    while (!stop) {
      std::filesystem::rename(root_ + "/x/one", root_ + "/x/two");
      std::filesystem::rename(root_ + "/x/two", root_ + "/x/one");
    }
  });
  int failed = 0;
  for (int i = 0; i < 20000; ++i) failed += files_->readFile("/a/c/link/file").has_value() ? 0 : 1;
  stop = true;
  renamer.join();
  EXPECT_EQ(failed, 0);
}

TEST_F(RootedFilesystemTest, WriteFileCreatesNothing) {
  EXPECT_EQ(files_->writeFile("/new", "1").error().code, ErrorCode::kNotFound);
  put("/old", "");
  ASSERT_TRUE(files_->writeFile("/old", "4").has_value());
  EXPECT_EQ(*files_->readFile("/old"), "4");
}

TEST_F(RootedFilesystemTest, ReplaceLeavesNoTemporaryBehind) {
  ASSERT_TRUE(files_->makeDirectories("/run/railhead").has_value());
  ASSERT_TRUE(files_->replaceFile("/run/railhead/state", "one", 0600).has_value());
  ASSERT_TRUE(files_->replaceFile("/run/railhead/state", "two", 0600).has_value());
  EXPECT_EQ(*files_->readFile("/run/railhead/state"), "two");
  EXPECT_THAT(*files_->listDirectory("/run/railhead"), testing::ElementsAre("state"));
  struct stat info {};
  ASSERT_EQ(stat((root_ + "/run/railhead/state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(files_->replaceFile("/none/state", "x", 0600).error().code, ErrorCode::kNotFound);
}

TEST_F(RootedFilesystemTest, RemovesAndLists) {
  put("/d/b", "");
  put("/d/a", "");
  EXPECT_THAT(*files_->listDirectory("/d"), testing::ElementsAre("a", "b"));
  EXPECT_TRUE(files_->remove("/d/a").has_value());
  EXPECT_TRUE(files_->remove("/d/a").has_value());
  EXPECT_FALSE(files_->remove("/d").has_value());
  EXPECT_TRUE(files_->rename("/d/b", "/c").has_value());
  EXPECT_TRUE(files_->remove("/d").has_value());
  EXPECT_FALSE(files_->exists("/d"));
  EXPECT_EQ(files_->status("/c")->kind, FileKind::kFile);
}

}  // namespace
}  // namespace railhead::os

#include "apps/railhead/user_files.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::app {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class UserFiles : public testing::Test {
 protected:
  UserFiles()
      : folder_(fs::temp_directory_path() / ("railhead-user-files-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~UserFiles() override { fs::remove_all(folder_); }
  std::string at(const char* name) const { return (folder_ / name).string(); }
  static std::string contents(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  fs::path folder_;
};

TEST_F(UserFiles, ALinkStaysAndItsFileIsReplaced) {
  ASSERT_TRUE(writeText(at("real"), "old").has_value());
  fs::create_symlink("real", at("link"));
  ASSERT_TRUE(writeText(at("link"), "new").has_value());
  EXPECT_TRUE(fs::is_symlink(at("link")));
  EXPECT_EQ(contents(at("real")), "new");
}

TEST_F(UserFiles, WhatIsNoFileIsWrittenInto) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] { read = readText(at("pipe"), 100).value(); });
  ASSERT_TRUE(writeText(at("pipe"), "through").has_value());
  reader.join();
  EXPECT_EQ(read, "through");
  EXPECT_TRUE(fs::is_fifo(at("pipe")));
  const auto full = writeText("/dev/full", "x");
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(UserFiles, LongerThanAllowedIsRefused) {
  ASSERT_TRUE(writeText(at("a"), "12345").has_value());
  EXPECT_EQ(readText(at("a"), 5).value(), "12345");
  EXPECT_THAT(readText(at("a"), 4).error().message, HasSubstr("4 bytes allowed"));
  EXPECT_EQ(readText(at("none"), 5).error().code, ErrorCode::kNotFound);
}

TEST_F(UserFiles, AnOutputIsCheckedBefore) {
  EXPECT_TRUE(checkOut("").has_value());
  EXPECT_TRUE(checkOut(at("new")).has_value());
  EXPECT_FALSE(fs::exists(at("new")));
  EXPECT_TRUE(checkOut("/dev/null").has_value());
  EXPECT_THAT(checkOut(at("none") + "/x").error().message, HasSubstr("--out: write into "));
  EXPECT_EQ(checkOut(folder_.string()).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace railhead::app

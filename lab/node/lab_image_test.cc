#include "lab/node/lab_image.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

class LabImageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/lab-image-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    std::filesystem::create_directory(root_ / "image");
    auto files = os::RootedFilesystem::open(root_.string());
    ASSERT_TRUE(files);
    files_ = std::move(*files);
    for (const auto* name : {"kernel", "initramfs.cpio", "root.erofs"}) put(name, "x");
    put("image.json", R"({"kernel": "7.3.4-amd64", "direct_start": true})");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void put(const std::string& name, const std::string& text) {
    std::ofstream(root_ / "image" / name) << text;
  }

  std::filesystem::path root_;
  std::unique_ptr<os::RootedFilesystem> files_;
};

TEST_F(LabImageTest, FindsItsParts) {
  const auto image = openLabImage(*files_, "/image");
  ASSERT_TRUE(image) << image.error().describe();
  EXPECT_EQ(image->kernelFile, "/image/kernel");
  EXPECT_EQ(image->rootFile, "/image/root.erofs");
  EXPECT_EQ(image->kernelRelease, "7.3.4-amd64");
}

TEST_F(LabImageTest, MissingPartsSayHowToBuild) {
  for (const auto* name : {"kernel", "initramfs.cpio", "root.erofs", "image.json"}) {
    std::filesystem::rename(root_ / "image" / name, root_ / "aside");
    const auto image = openLabImage(*files_, "/image");
    ASSERT_FALSE(image) << name;
    EXPECT_EQ(exitCodeFor(image.error().code), ExitCode::kEnvironment);
    EXPECT_THAT(image.error().message, HasSubstr(name));
    EXPECT_THAT(image.error().remedy, HasSubstr("./dev build"));
    std::filesystem::rename(root_ / "aside", root_ / "image" / name);
  }
}

TEST_F(LabImageTest, OldOrUnknownKernelIsRefused) {
  for (const auto* text : {R"({"kernel": "6.12.9-amd64"})", R"({"kernel": 7})", "{}", "not json",
                           R"({"kernel": "newest"})"}) {
    put("image.json", text);
    const auto image = openLabImage(*files_, "/image");
    ASSERT_FALSE(image) << text;
    EXPECT_EQ(exitCodeFor(image.error().code), ExitCode::kEnvironment) << text;
    EXPECT_NE(image.error().remedy, "") << text;
  }
}

}  // namespace
}  // namespace railhead::lab

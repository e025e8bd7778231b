#include "src/report/write.h"

#include "src/report/model/json.h"

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace railhead::report {
namespace {

class WriteReport : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "report-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    auto opened = os::RootedFilesystem::open(root_);
    ASSERT_TRUE(opened.has_value()) << opened.error().describe();
    files_ = std::move(*opened);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string root_;
  std::unique_ptr<os::Filesystem> files_;
};

TEST_F(WriteReport, MakesTheFolderAndBothFiles) {
  Report report;
  report.toolVersion = "0.1.0";
  const auto paths = writeReport(*files_, "/out/today", report);
  ASSERT_TRUE(paths.has_value()) << paths.error().describe();
  ASSERT_EQ(*paths, (std::vector<std::string>{"/out/today/report.json", "/out/today/report.html"}));
  EXPECT_EQ(*fromJson(*files_->readFile("/out/today/report.json")), report);
  EXPECT_TRUE(files_->readFile("/out/today/report.html")->starts_with("<!DOCTYPE html>"));
}

TEST_F(WriteReport, ReplacesAnOlderReport) {
  Report report;
  ASSERT_TRUE(writeReport(*files_, "/out", report).has_value());
  report.seconds = 7;
  ASSERT_TRUE(writeReport(*files_, "/out", report).has_value());
  EXPECT_EQ(fromJson(*files_->readFile("/out/report.json"))->seconds, 7);
}

TEST_F(WriteReport, SaysWhyItCouldNot) {
  ASSERT_TRUE(files_->replaceFile("/out", "a file", 0644).has_value());
  const auto paths = writeReport(*files_, "/out", Report{});
  ASSERT_FALSE(paths.has_value());
  EXPECT_TRUE(paths.error().message.starts_with("write the report: ")) << paths.error().message;
}

}  // namespace
}  // namespace railhead::report

#include "apps/railhead/tune_apply.h"

#include "src/tune/export.h"
#include "src/tune/table.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::app {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class TuneApply : public testing::Test {
 protected:
  TuneApply()
      : folder_(fs::temp_directory_path() / ("railhead-apply-" + std::to_string(::getpid()))),
        files_(os::RootedFilesystem::open("/").value()) {}
  ~TuneApply() override { fs::remove_all(folder_); }

  static tune::Profile profile(const std::string& threads) {
    tune::Profile out;
    out.fabric.ranks = 2;
    out.fabric.nodes = 2;
    out.environment.set("NCCL_NTHREADS", threads);
    out.table = {{"allreduce", 2, 2, 0, 4096, "tree", "ll", 0}};
    return out;
  }
  std::string read(const char* name) {
    const auto text = files_->readFile((folder_ / name).string(), 1 << 20);
    return text.has_value() ? *text : "(" + std::string(errorCodeName(text.error().code)) + ")";
  }
  Applied apply(const tune::Profile& one) {
    const auto done = applyProfile(*files_, folder_.string(), one);
    EXPECT_TRUE(done.has_value()) << done.error().describe();
    return done.has_value() ? *done : Applied{};
  }

  fs::path folder_;
  std::unique_ptr<os::Filesystem> files_;
};

TEST_F(TuneApply, WritesWhatIsMountedAndKeepsThePreviousForARollback) {
  const auto first = profile("128");
  const auto second = profile("256");
  EXPECT_EQ(apply(first).previous, "");
  EXPECT_EQ(read("profile.yaml"), tune::writeProfile(first).value());
  EXPECT_THAT(read("nccl.conf"), HasSubstr("NCCL_NTHREADS=128"));
  EXPECT_EQ(tune::parseTable(read("nccl-tuner.table"), "table").value().hash,
            tune::profileHash(first));

  const auto done = apply(second);
  EXPECT_EQ(done.previous, tune::profileHash(first).substr(0, 16));
  EXPECT_THAT(read("nccl.conf"), HasSubstr("NCCL_NTHREADS=256"));
  ASSERT_TRUE(rollBack(*files_, folder_.string()).has_value());
  EXPECT_EQ(read("profile.yaml"), tune::writeProfile(first).value());
  ASSERT_TRUE(rollBack(*files_, folder_.string()).has_value());
  EXPECT_EQ(read("profile.yaml"), tune::writeProfile(second).value());
}

TEST_F(TuneApply, RollingTheFirstBackLeavesNoProfile) {
  apply(profile("128"));
  const auto back = rollBack(*files_, folder_.string());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->now, "");
  EXPECT_EQ(read("profile.yaml"), "(not-found)");
}

TEST_F(TuneApply, ApplyingTwiceKeepsThePreviousAndOldGenerationsGo) {
  apply(profile("64"));
  apply(profile("128"));
  const auto last = profile("256");
  apply(last);
  EXPECT_EQ(apply(last).previous, tune::profileHash(profile("128")).substr(0, 16));
  EXPECT_FALSE(fs::exists(folder_ / (".." + tune::profileHash(profile("64")).substr(0, 16))));
}

TEST_F(TuneApply, AFileOfSomebodyElseStays) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "nccl.conf") << "NCCL_DEBUG=INFO\n";
  const auto done = applyProfile(*files_, folder_.string(), profile("128"));
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(read("nccl.conf"), "NCCL_DEBUG=INFO\n");
  EXPECT_EQ(read("profile.yaml"), "(not-found)");
}

TEST_F(TuneApply, WithoutAnythingAppliedThereIsNothingToRollBack) {
  EXPECT_EQ(rollBack(*files_, folder_.string()).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace railhead::app

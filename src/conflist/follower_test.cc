// Over a real folder: inotify is the point.
#include "src/conflist/follower.h"

#include <chrono>
#include <condition_variable>
#include <filesystem>

#include <gtest/gtest.h>

namespace railhead::conflist {
namespace {

class Follower : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rh-conflist-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    auto files = os::RootedFilesystem::open("/");
    ASSERT_TRUE(files.has_value());
    files_ = std::move(*files);
  }
  void TearDown() override {
    follower_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    InstallerConfig config;
    config.folder = directory_ + "/net.d";
    config.binFolder = directory_ + "/bin";
    auto started = ConflistFollower::start(config, config.folder, *files_, clock_,
                                           [this](const Result<InstallOutcome>& outcome) {
                                             const std::lock_guard lock(mutex_);
                                             if (outcome.has_value()) seen_ = *outcome;
                                             changed_.notify_all();
                                           });
    ASSERT_TRUE(started.has_value());
    follower_ = std::move(*started);
  }
  void put(const std::string& name, const std::string& type) {
    ASSERT_TRUE(files_
                    ->replaceFile(
                        directory_ + "/net.d/" + name,
                        R"({"cniVersion":"1.0.0","name":"n","plugins":[{"type":")" + type + "\"}]}")
                    .has_value());
  }
  bool waitFor(Standing standing, const std::string& primary) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
      return seen_.standing == standing && seen_.primary == primary;
    });
  }

  std::string directory_;
  std::unique_ptr<os::Filesystem> files_;
  os::SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  InstallOutcome seen_;
  std::unique_ptr<ConflistFollower> follower_;
};

TEST_F(Follower, IsUpToDateWhenItHasStarted) {
  std::filesystem::create_directory(directory_ + "/net.d");
  put("10-a.conflist", "a-cni");
  start();
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/net.d/00-railhead.conflist"));
  EXPECT_EQ(follower_->outcome().standing, Standing::kChained);
}

TEST_F(Follower, FollowsAFolderAndAPrimaryThatComeLate) {
  start();
  EXPECT_EQ(follower_->outcome().standing, Standing::kNoFolder);
  std::filesystem::create_directory(directory_ + "/net.d");
  ASSERT_TRUE(waitFor(Standing::kNoPrimary, ""));
  put("10-a.conflist", "a-cni");
  ASSERT_TRUE(waitFor(Standing::kChained, "10-a.conflist"));
  put("05-b.conflist", "b-cni");
  ASSERT_TRUE(waitFor(Standing::kChained, "05-b.conflist"));
  std::filesystem::remove(directory_ + "/net.d/05-b.conflist");
  ASSERT_TRUE(waitFor(Standing::kChained, "10-a.conflist"));
}

TEST_F(Follower, PutsBackWhatAnotherRemoves) {
  std::filesystem::create_directory(directory_ + "/net.d");
  put("10-a.conflist", "a-cni");
  start();
  {
    const std::lock_guard lock(mutex_);
    seen_ = {};
  }
  std::filesystem::remove(directory_ + "/net.d/00-railhead.conflist");
  ASSERT_TRUE(waitFor(Standing::kChained, "10-a.conflist"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/net.d/00-railhead.conflist"));
}

}  // namespace
}  // namespace railhead::conflist

#include "src/agent/delivery/delivery.h"

#include "tests/support/kept_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/tuned_profile.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using testing_support::profileText;
using testing_support::tunedProfile;
namespace fs = std::filesystem;

std::string hashOf(std::uint64_t seed) { return tune::profileHash(tunedProfile(seed)); }

// Over real files in a folder of its own, since the file is followed by inotify.
class ProfileDeliveryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rh-profile-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    paths_.state = folder_ + "/state";
    paths_.ncclTuner = folder_ + "/tuner.so";
    fs::create_directories(folder_ + "/etc");
    write(paths_.ncclTuner, "plugin");
    files_ = std::move(*os::RootedFilesystem::open("/"));
    config_ = {folder_ + "/etc/profile.yaml", "", "/etc/railhead"};
    make();
  }
  void TearDown() override {
    delivery_.reset();
    fs::remove_all(folder_);
  }

  void make() {
    delivery_ = std::make_unique<ProfileDelivery>(
        paths_, DeliverySeams{*files_, clock_, log_, [this] { return railsHeld_; }});
  }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path + ".new") << text;
    fs::rename(path + ".new", path);
  }
  void offer(std::uint64_t seed) { write(config_.file, profileText(tunedProfile(seed))); }
  void start() { delivery_->start(config_, twins_); }
  bool becomes(ProfileState state, const std::string& hash) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      const auto status = delivery_->status();
      if (status.state == state && status.hash == hash) return true;
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
  }
  std::string given() const {
    const auto mount = delivery_->given();
    return mount ? fs::path(mount->hostFolder).filename().string() : "";
  }
  std::vector<std::string> laidOut() { return ProfileShelf(*files_, paths_).hashes(); }

  std::string folder_;
  os::HostPaths paths_;
  std::unique_ptr<os::Filesystem> files_;
  testing_support::ManualClock clock_;
  testing_support::KeptLog log_;
  bool railsHeld_ = true;
  ProfileConfig config_;
  const SeenRail rail_{"15b3:101e", "15b3:1021", "200 Gb/s", 9000, 9000};
  const SeenFabric twins_{{{rail_, rail_}}};
  std::unique_ptr<ProfileDelivery> delivery_;
};

TEST_F(ProfileDeliveryTest, WithoutConfigurationThereIsNone) {
  delivery_->start({}, twins_);
  EXPECT_EQ(delivery_->status(), ProfileStatus());
  EXPECT_FALSE(delivery_->given().has_value());
  EXPECT_FALSE(fs::exists(paths_.state));
}

TEST_F(ProfileDeliveryTest, AValidOneIsGivenFromTheStart) {
  offer(1);
  start();
  const auto status = delivery_->status();
  EXPECT_EQ(status.state, ProfileState::kApplied) << status.detail;
  EXPECT_EQ(status.hash, hashOf(1));
  EXPECT_EQ(status.since, clock_.wallTime());
  const auto mount = delivery_->given();
  ASSERT_TRUE(mount.has_value());
  EXPECT_EQ(mount->hostFolder, paths_.state + "/profile/" + hashOf(1));
  EXPECT_EQ(mount->containerFolder, "/etc/railhead");
  for (const auto& name : {mount->conf, mount->tuner, mount->table}) {
    EXPECT_TRUE(fs::is_regular_file(mount->hostFolder + "/" + name)) << name;
  }
  EXPECT_THAT(log_.text(),
              HasSubstr("profile: applied; containers with rails get: " + hashOf(1).substr(0, 12)));
}

TEST_F(ProfileDeliveryTest, OneThatComesIsGivenAndOneThatGoesIsNot) {
  start();
  EXPECT_EQ(delivery_->status().state, ProfileState::kNone);
  EXPECT_EQ(given(), "");
  offer(1);
  EXPECT_TRUE(becomes(ProfileState::kApplied, hashOf(1)));
  fs::remove(config_.file);
  EXPECT_TRUE(becomes(ProfileState::kNone, ""));
  EXPECT_EQ(given(), "");
  EXPECT_THAT(laidOut(), testing::ElementsAre(hashOf(1))) << "pods may have it mounted";
  offer(1);
  EXPECT_TRUE(becomes(ProfileState::kApplied, hashOf(1))) << "the same again";
}

// kubelet swaps the link ..data from one folder to the next; the file's own link stays.
TEST_F(ProfileDeliveryTest, AConfigMapThatIsUpdatedIsTakenOver) {
  const std::string etc = folder_ + "/etc";
  for (const std::uint64_t seed : {1, 2}) {
    const std::string version = etc + "/..v" + std::to_string(seed);
    fs::create_directory(version);
    write(version + "/profile.yaml", profileText(tunedProfile(seed)));
  }
  fs::create_symlink("..v1", etc + "/..data");
  fs::create_symlink("..data/profile.yaml", config_.file);
  start();
  EXPECT_EQ(given(), hashOf(1));
  fs::create_symlink("..v2", etc + "/..data_tmp");
  fs::rename(etc + "/..data_tmp", etc + "/..data");
  EXPECT_TRUE(becomes(ProfileState::kApplied, hashOf(2)));
  EXPECT_EQ(delivery_->status().previous, hashOf(1));
  EXPECT_THAT(laidOut(), UnorderedElementsAre(hashOf(1), hashOf(2)));
}

TEST_F(ProfileDeliveryTest, AnInvalidOneIsRefusedWithItsLineAndTheOldOneStays) {
  offer(1);
  start();
  write(config_.file, "schemaVersion: 1\nfabric: 7\n");
  ASSERT_TRUE(becomes(ProfileState::kRefused, hashOf(1)));
  EXPECT_THAT(delivery_->status().detail, HasSubstr(config_.file + ":2: fabric"));
  EXPECT_EQ(given(), hashOf(1));
  EXPECT_THAT(log_.text(), HasSubstr("profile: refused: " + config_.file + ":2: fabric"));

  // Also over a restart of the agent.
  make();
  start();
  EXPECT_EQ(delivery_->status().state, ProfileState::kRefused);
  EXPECT_EQ(given(), hashOf(1));

  std::string forged = profileText(tunedProfile(2));
  forged.replace(forged.find("NCCL_NTHREADS"), 13, "NCCL_BUFFSIZE");
  write(config_.file, forged);
  EXPECT_TRUE(becomes(ProfileState::kRefused, hashOf(1)));
  write(config_.file, std::string(config::kMaxBytes + 1, '#'));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (delivery_->status().detail.find("larger than") == std::string::npos &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_THAT(delivery_->status().detail, HasSubstr("larger than"));
  EXPECT_EQ(given(), hashOf(1));
}

TEST_F(ProfileDeliveryTest, OneOfAnotherFabricIsNotAppliedAndSaysWhatDiffers) {
  offer(1);
  start();
  auto foreign = tunedProfile(2);
  foreign.fabric.mtu = 1500;
  write(config_.file, profileText(foreign));
  ASSERT_TRUE(becomes(ProfileState::kOtherFabric, hashOf(1)));
  EXPECT_THAT(delivery_->status().detail, HasSubstr("mtu is '9000' here and '1500'"));
  EXPECT_THAT(laidOut(), testing::ElementsAre(hashOf(1)));

  // The node itself may change, and change back.
  SeenFabric other = twins_;
  for (auto& rail : other.sets.at(0)) rail.vfMtu = rail.pfMtu = 1500;
  delivery_->look(other);
  EXPECT_EQ(given(), tune::profileHash(foreign));
  offer(1);
  ASSERT_TRUE(becomes(ProfileState::kOtherFabric, tune::profileHash(foreign)));
  delivery_->look(twins_);
  EXPECT_EQ(given(), hashOf(1));
  EXPECT_EQ(delivery_->status().state, ProfileState::kApplied);
  delivery_->look(other);
  EXPECT_EQ(given(), "") << "settings of another fabric are nobody's";
  EXPECT_EQ(delivery_->status().state, ProfileState::kOtherFabric);
}

TEST_F(ProfileDeliveryTest, ANodeWithoutRailSetsWaits) {
  offer(1);
  delivery_->start(config_, {});
  EXPECT_EQ(delivery_->status().state, ProfileState::kWaiting);
  EXPECT_EQ(given(), "");
  delivery_->look(twins_);
  EXPECT_EQ(given(), hashOf(1));
}

TEST_F(ProfileDeliveryTest, WithoutThePluginNothingIsAppliedUntilItIsThere) {
  fs::remove(paths_.ncclTuner);
  offer(1);
  start();
  EXPECT_EQ(delivery_->status().state, ProfileState::kFailed);
  EXPECT_THAT(delivery_->status().detail, HasSubstr("the tuner plugin"));
  EXPECT_EQ(given(), "");
  write(paths_.ncclTuner, "plugin");
  delivery_->look(twins_);
  EXPECT_EQ(given(), hashOf(1));
}

TEST_F(ProfileDeliveryTest, ARollbackLastsUntilTheFileHoldsAnotherProfile) {
  offer(1);
  start();
  offer(2);
  ASSERT_TRUE(becomes(ProfileState::kApplied, hashOf(2)));
  ProfileShelf operators(*files_, paths_);  // as `railhead-agent profile rollback` does
  ASSERT_TRUE(operators.setAside(hashOf(2)).has_value());
  ASSERT_TRUE(becomes(ProfileState::kSetAside, hashOf(1)));
  EXPECT_EQ(given(), hashOf(1));

  make();  // a restart of the agent
  start();
  EXPECT_EQ(delivery_->status().state, ProfileState::kSetAside);
  EXPECT_EQ(given(), hashOf(1));

  ASSERT_TRUE(operators.setAside("").has_value());  // profile resume
  ASSERT_TRUE(becomes(ProfileState::kApplied, hashOf(2)));
  ASSERT_TRUE(operators.setAside(hashOf(2)).has_value());
  ASSERT_TRUE(becomes(ProfileState::kSetAside, hashOf(1)));
  offer(3);
  ASSERT_TRUE(becomes(ProfileState::kApplied, hashOf(3)));
  EXPECT_EQ(operators.setAside(), "") << "done with";
  EXPECT_EQ(delivery_->status().previous, hashOf(1));
}

TEST_F(ProfileDeliveryTest, ARollbackOfTheFirstOneLeavesNone) {
  offer(1);
  start();
  ASSERT_TRUE(ProfileShelf(*files_, paths_).setAside(hashOf(1)).has_value());
  EXPECT_TRUE(becomes(ProfileState::kSetAside, ""));
}

TEST_F(ProfileDeliveryTest, AFolderGoesOnlyWhenNoPodHoldsRails) {
  start();
  for (const std::uint64_t seed : {1, 2, 3}) {
    offer(seed);
    ASSERT_TRUE(becomes(ProfileState::kApplied, hashOf(seed)));
  }
  EXPECT_THAT(laidOut(), UnorderedElementsAre(hashOf(1), hashOf(2), hashOf(3)));
  delivery_->stop();
  railsHeld_ = false;
  start();
  offer(4);
  ASSERT_TRUE(becomes(ProfileState::kApplied, hashOf(4)));
  EXPECT_THAT(laidOut(), UnorderedElementsAre(hashOf(2), hashOf(3), hashOf(4)));
}

TEST_F(ProfileDeliveryTest, AnotherConfigurationIsFollowed) {
  offer(1);
  start();
  ProfileConfig other = config_;
  other.file = folder_ + "/etc/late/profile.yaml";
  other.mountAt = "/opt/railhead";
  delivery_->configure(other);
  EXPECT_EQ(delivery_->status().state, ProfileState::kNone);
  fs::create_directory(folder_ + "/etc/late");
  write(other.file, profileText(tunedProfile(2)));
  delivery_->look(twins_);  // the folder was not there to be watched
  ASSERT_TRUE(becomes(ProfileState::kApplied, hashOf(2)));
  EXPECT_EQ(delivery_->given()->containerFolder, "/opt/railhead");
  delivery_->configure({});
  EXPECT_EQ(delivery_->status().state, ProfileState::kOff);
  EXPECT_EQ(given(), "");
}

}  // namespace
}  // namespace railhead::agent

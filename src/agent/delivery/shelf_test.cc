#include "src/agent/delivery/shelf.h"

#include "tests/support/memory_filesystem.h"
#include "tests/support/tuned_profile.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::profileText;
using testing_support::tunedProfile;

class ProfileShelfTest : public testing::Test {
 protected:
  ProfileShelfTest() { files_.put(paths_.ncclTuner, "plugin 1"); }

  std::string fileOf(const tune::Profile& profile, const char* name) {
    return *files_.readFile(shelf_.folderOf(tune::profileHash(profile)) + "/" + name);
  }
  Result<void> place(std::uint64_t seed) {
    return shelf_.place(tunedProfile(seed), paths_.ncclTuner);
  }

  os::HostPaths paths_;
  int full_ = 0;  // from which write on the disk is full; 0: never
  int writes_ = 0;
  testing_support::MemoryFilesystem files_{[this](const std::string& what) -> Result<void> {
    if (!what.starts_with("replace")) return {};
    return ++writes_ >= full_ && full_ > 0 ? Error::fromErrno(ENOSPC, what) : Result<void>();
  }};
  ProfileShelf shelf_{files_, paths_};
};

TEST_F(ProfileShelfTest, LaysOutWhatNcclAndThePluginRead) {
  const auto profile = tunedProfile();
  const std::string hash = tune::profileHash(profile);
  EXPECT_FALSE(shelf_.holds(hash));
  ASSERT_TRUE(place(1).has_value());
  EXPECT_TRUE(shelf_.holds(hash));
  EXPECT_EQ(shelf_.folderOf(hash), "/run/railhead/profile/" + hash);
  EXPECT_THAT(fileOf(profile, kConfName), HasSubstr("\nNCCL_NTHREADS=512\n"));
  EXPECT_EQ(fileOf(profile, kTableName),
            "railhead-tuner 1\nhash " + hash + "\nallreduce 2 2 0 65535 tree ll 0\n");
  EXPECT_EQ(fileOf(profile, kProfileName), profileText(profile));
  EXPECT_EQ(fileOf(profile, kTunerName), "plugin 1");
  EXPECT_EQ(*shelf_.read(hash), profile);
}

TEST_F(ProfileShelfTest, ASecondTimeOnlyWhatDiffersIsWritten) {
  ASSERT_TRUE(place(1).has_value());
  writes_ = 0;
  ASSERT_TRUE(place(1).has_value());
  EXPECT_EQ(writes_, 0);
  files_.put(paths_.ncclTuner, "plugin 2");  // the agent was upgraded
  const std::string cutOff = shelf_.folderOf(tune::profileHash(tunedProfile())) + "/.cut-off";
  files_.put(cutOff, "x");  // and killed
  ASSERT_TRUE(place(1).has_value());
  EXPECT_EQ(writes_, 1);
  EXPECT_EQ(fileOf(tunedProfile(), kTunerName), "plugin 2");
  EXPECT_FALSE(files_.exists(cutOff));
}

TEST_F(ProfileShelfTest, AFullDiskLeavesNoHalfFolderAndTheOthersAsTheyWere) {
  ASSERT_TRUE(place(1).has_value());
  for (int write = 1; write <= 4; ++write) {
    writes_ = 0;
    full_ = write;
    const auto placed = place(2);
    ASSERT_FALSE(placed.has_value()) << write;
    EXPECT_EQ(placed.error().code, ErrorCode::kExhausted);
    EXPECT_THAT(shelf_.hashes(), testing::ElementsAre(tune::profileHash(tunedProfile(1))));
  }
  full_ = 0;
  EXPECT_TRUE(place(2).has_value());
  EXPECT_THAT(shelf_.hashes(), SizeIs(2));
}

TEST_F(ProfileShelfTest, AMissingPluginIsNamedAndNothingIsLaidOut) {
  files_.erase(paths_.ncclTuner);
  const auto placed = place(1);
  ASSERT_FALSE(placed.has_value());
  EXPECT_THAT(placed.error().message, HasSubstr("the tuner plugin: open " + paths_.ncclTuner));
  EXPECT_THAT(placed.error().remedy, HasSubstr("profile.plugin"));
  EXPECT_THAT(shelf_.hashes(), IsEmpty());
}

TEST_F(ProfileShelfTest, HoldsSoManyAndNoMore) {
  for (std::uint64_t i = 1; i <= ProfileShelf::kMaxProfiles; ++i) ASSERT_TRUE(place(i).has_value());
  const auto more = place(100);
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(place(3).has_value()) << "what is there may be laid out again";
  const std::string kept = tune::profileHash(tunedProfile(5));
  ASSERT_TRUE(shelf_.keepOnly({kept}).has_value());
  EXPECT_THAT(shelf_.hashes(), testing::ElementsAre(kept));
  EXPECT_TRUE(place(100).has_value());
}

TEST_F(ProfileShelfTest, RemembersWhatIsInForceAndWhatWasSetAside) {
  EXPECT_EQ(shelf_.record(), ProfileRecord());
  EXPECT_EQ(shelf_.setAside(), "");
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  const ProfileRecord record{
      a, b, std::chrono::system_clock::time_point(std::chrono::seconds(1'764'000'000))};
  ASSERT_TRUE(shelf_.write(record).has_value());
  ASSERT_TRUE(shelf_.setAside(b).has_value());
  EXPECT_EQ(ProfileShelf(files_, paths_).record(), record);
  EXPECT_EQ(ProfileShelf(files_, paths_).setAside(), b);
  EXPECT_THAT(shelf_.hashes(), IsEmpty());
  ASSERT_TRUE(shelf_.setAside("").has_value());
  EXPECT_EQ(shelf_.setAside(), "");

  for (const char* text : {"", "current", "current ../../etc", "since -1\ncurrent x y\n", "\n\n"}) {
    files_.put(paths_.profiles() + "/record", text);
    files_.put(shelf_.markPath(), text);
    EXPECT_EQ(shelf_.record(), ProfileRecord()) << text;
    EXPECT_EQ(shelf_.setAside(), "") << text;
  }
}

}  // namespace
}  // namespace railhead::agent

#include "src/conflist/installer.h"

#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::conflist {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kFolder = "/etc/cni/net.d";
constexpr const char* kOurs = "/etc/cni/net.d/00-railhead.conflist";
constexpr const char* kShim = "/opt/cni/bin/railhead";

std::string listOf(const std::string& name, const std::string& type) {
  return R"({"cniVersion":"1.0.0","name":")" + name + R"(","plugins":[{"type":")" + type + "\"}]}";
}

class Installer : public testing::Test {
 protected:
  Installer() { files_.put("/usr/lib/railhead/railhead-cni", "program 1"); }

  InstallerConfig config() const {
    InstallerConfig config;
    config.folder = kFolder;
    config.binFolder = "/opt/cni/bin";
    config.shim = "/usr/lib/railhead/railhead-cni";
    return config;
  }
  InstallOutcome look() { return looked(installer_.bringUpToDate()); }
  static InstallOutcome looked(const Result<InstallOutcome>& outcome) {
    EXPECT_TRUE(outcome.has_value()) << outcome.error().message;
    return outcome.has_value() ? *outcome : InstallOutcome();
  }
  std::string ours() { return files_.readFile(kOurs).value_or(""); }
  bool has(const std::string& path) { return files_.exists(path); }

  std::vector<std::string> writes_;
  testing_support::MemoryFilesystem files_{[this](const std::string& what) -> Result<void> {
    writes_.push_back(what);
    return {};
  }};
  testing_support::ManualClock clock_;
  ConflistInstaller installer_{config(), files_, clock_};
};

TEST_F(Installer, WaitsForTheFolderAndForThePrimary) {
  EXPECT_EQ(look().standing, Standing::kNoFolder);
  files_.putDirectory(kFolder);
  const auto waiting = look();
  EXPECT_EQ(waiting.standing, Standing::kNoPrimary);
  EXPECT_THAT(waiting.note, HasSubstr("waiting for a primary network in /etc/cni/net.d"));
  EXPECT_TRUE(has(kShim));
  EXPECT_FALSE(has(kOurs));
  files_.put("/etc/cni/net.d/10-flannel.conflist", listOf("cbr0", "flannel"));
  const auto chained = look();
  EXPECT_EQ(chained.standing, Standing::kChained);
  EXPECT_EQ(chained.primary, "10-flannel.conflist");
  EXPECT_THAT(chained.changes, ElementsAre(HasSubstr("behind 10-flannel.conflist")));
  EXPECT_THAT(ours(), HasSubstr("flannel"));
}

TEST_F(Installer, InstallsTheProgramBeforeTheFileThatNamesIt) {
  files_.put("/etc/cni/net.d/05-cilium.conflist", listOf("cilium", "cilium-cni"));
  look();
  const auto written = [&](const std::string& path) {
    const auto at = std::find_if(writes_.begin(), writes_.end(), [&](const std::string& what) {
      return what.find(path) != std::string::npos;
    });
    return at - writes_.begin();
  };
  EXPECT_LT(written(kShim), written(kOurs));
  EXPECT_LT(written(kOurs), static_cast<long>(writes_.size()));
}

TEST_F(Installer, WritesNothingWhenAllIsAsItShouldBe) {
  files_.put("/etc/cni/net.d/05-cilium.conflist", listOf("cilium", "cilium-cni"));
  look();
  writes_.clear();
  EXPECT_THAT(look().changes, IsEmpty());
  EXPECT_THAT(writes_, IsEmpty());
}

TEST_F(Installer, FollowsThePrimaryAndANewerProgram) {
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni"));
  look();
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni-2"));
  files_.put("/usr/lib/railhead/railhead-cni", "program 2");
  look();
  EXPECT_THAT(ours(), HasSubstr("a-cni-2"));
  EXPECT_EQ(*files_.readFile(kShim), "program 2");
  files_.put("/etc/cni/net.d/05-b.conflist", listOf("b", "b-cni"));
  EXPECT_EQ(look().primary, "05-b.conflist");
  EXPECT_THAT(ours(), HasSubstr("b-cni"));
}

TEST_F(Installer, KeepsToTheConfiguredPrimary) {
  auto named = config();
  named.primary = "10-a.conflist";
  ConflistInstaller installer(named, files_, clock_);
  files_.put("/etc/cni/net.d/05-b.conflist", listOf("b", "b-cni"));
  EXPECT_EQ(looked(installer.bringUpToDate()).standing, Standing::kNoPrimary);
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni"));
  EXPECT_EQ(looked(installer.bringUpToDate()).primary, "10-a.conflist");
}

TEST_F(Installer, APrimaryThatRewritesItsFileLeavesNoGap) {
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni"));
  look();
  files_.erase("/etc/cni/net.d/10-a.conflist");
  EXPECT_EQ(look().standing, Standing::kLost);
  EXPECT_TRUE(has(kOurs));
  EXPECT_EQ(installer_.nextLook(), clock_.now() + std::chrono::seconds(30));
  // Half written: another usable file must not take its place.
  files_.put("/etc/cni/net.d/10-a.conflist", R"({"cniVers)");
  files_.put("/etc/cni/net.d/99-loopback.conflist", listOf("lo", "loopback"));
  EXPECT_EQ(look().standing, Standing::kLost);
  EXPECT_THAT(ours(), HasSubstr("a-cni"));
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni-2"));
  EXPECT_EQ(look().standing, Standing::kChained);
  EXPECT_THAT(ours(), HasSubstr("a-cni-2"));
  EXPECT_EQ(installer_.nextLook(), std::nullopt);
}

TEST_F(Installer, APrimaryThatStaysAwayTakesOursWithIt) {
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni"));
  look();
  files_.erase("/etc/cni/net.d/10-a.conflist");
  look();
  clock_.advance(std::chrono::seconds(30));
  const auto gone = look();
  EXPECT_EQ(gone.standing, Standing::kNoPrimary);
  EXPECT_THAT(gone.changes, ElementsAre(HasSubstr("removed")));
  EXPECT_FALSE(has(kOurs));
}

TEST_F(Installer, StandsBackForAChainMadeByHand) {
  files_.put("/etc/cni/net.d/05-cilium.conflist", listOf("cilium", "cilium-cni"));
  look();
  files_.put("/etc/cni/net.d/04-hand.conflist",
             R"({"name":"h","plugins":[{"type":"bridge"},{"type":"railhead"}]})");
  const auto hand = look();
  EXPECT_EQ(hand.standing, Standing::kByHand);
  EXPECT_EQ(hand.note, "04-hand.conflist names railhead itself");
  EXPECT_FALSE(has(kOurs));
}

// Multus: its file names as its cluster network the first file of the folder when it started, and
// it takes its file away when it ends.
class BesideMultus : public Installer {
 protected:
  BesideMultus() {
    files_.put("/etc/cni/net.d/05-cilium.conflist", listOf("cilium", "cilium-cni"));
  }
  void startMultus() {
    const std::string network = has(kOurs) ? "00-railhead.conflist" : "05-cilium.conflist";
    files_.put(kMultus, R"({"cniVersion":"0.3.1","name":"multus-cni-network","type":"multus-shim",)"
                        R"("clusterNetwork":"/host/etc/cni/net.d/)" +
                            network + "\"}");
  }
  void endMultus() { files_.erase(kMultus); }
  // Multus' pods: what it names must be there.
  bool podsStart() {
    const std::string text = files_.readFile(kMultus).value_or("");
    return text.find("00-railhead") == std::string::npos || has(kOurs);
  }
  static constexpr const char* kMultus = "/etc/cni/net.d/00-multus.conf";
};

TEST_F(BesideMultus, ThatCameFirstWritesNothing) {
  startMultus();
  EXPECT_EQ(look().standing, Standing::kUnderMultus);
  EXPECT_FALSE(has(kOurs));
  EXPECT_TRUE(has(kShim));
}

TEST_F(BesideMultus, ThatIsRestartedIsWaitedFor) {
  startMultus();
  look();
  endMultus();
  const auto waiting = look();
  EXPECT_EQ(waiting.standing, Standing::kAwaitsMultus);
  EXPECT_FALSE(has(kOurs));
  EXPECT_EQ(installer_.nextLook(), clock_.now() + std::chrono::seconds(30));
  clock_.advance(std::chrono::seconds(29));
  EXPECT_EQ(look().standing, Standing::kAwaitsMultus);
  startMultus();
  EXPECT_EQ(look().standing, Standing::kUnderMultus);
  EXPECT_EQ(installer_.nextLook(), std::nullopt);
  EXPECT_TRUE(podsStart());
  // Taken away for good, it gives its place up.
  endMultus();
  look();
  clock_.advance(std::chrono::seconds(30));
  EXPECT_EQ(look().standing, Standing::kChained);
}

TEST_F(BesideMultus, WhatMultusHasAsItsNetworkStaysAndFollowsThePrimary) {
  look();
  ASSERT_TRUE(has(kOurs));
  startMultus();
  const auto under = look();
  EXPECT_EQ(under.standing, Standing::kUnderMultus);
  EXPECT_THAT(under.note, HasSubstr("its cluster network is 00-railhead.conflist"));
  EXPECT_TRUE(podsStart());
  files_.put("/etc/cni/net.d/05-cilium.conflist", listOf("cilium", "cilium-cni-2"));
  look();
  EXPECT_THAT(ours(), HasSubstr("cilium-cni-2"));
  EXPECT_THAT(ours(), testing::Not(HasSubstr("multus")));
  files_.erase("/etc/cni/net.d/05-cilium.conflist");
  clock_.advance(std::chrono::minutes(5));
  EXPECT_THAT(look().note, HasSubstr("stays: 00-multus.conf has it as its network"));
  EXPECT_TRUE(podsStart());
}

TEST_F(BesideMultus, WhoseProgramIsThereIsWaitedForAtStart) {
  files_.put("/opt/cni/bin/multus-shim", "x");
  EXPECT_EQ(look().standing, Standing::kAwaitsMultus);
  clock_.advance(std::chrono::seconds(30));
  EXPECT_EQ(look().standing, Standing::kChained);
  EXPECT_EQ(look().standing, Standing::kChained);
}

TEST_F(BesideMultus, OurFileOfAnEarlierStartGoesOnServing) {
  files_.put("/opt/cni/bin/multus-shim", "x");
  files_.put(kOurs, listOf("cilium", "old"));
  EXPECT_EQ(look().standing, Standing::kChained);
}

TEST_F(BesideMultus, TheProgramAloneWhereMultusStays) {
  auto alone = config();
  alone.chain = false;
  ConflistInstaller installer(alone, files_, clock_);
  EXPECT_EQ(looked(installer.bringUpToDate()).standing, Standing::kProgramOnly);
  EXPECT_TRUE(has(kShim));
  EXPECT_FALSE(has(kOurs));
  files_.put(kOurs, listOf("cilium", "old"));
  startMultus();
  looked(installer.bringUpToDate());
  EXPECT_TRUE(podsStart());
  endMultus();
  looked(installer.bringUpToDate());
  EXPECT_FALSE(has(kOurs));
}

// Cilium with cni.exclusive renames what it does not know at every change in the folder.
TEST_F(Installer, DoesNotFightForever) {
  files_.put("/etc/cni/net.d/05-cilium.conflist", listOf("cilium", "cilium-cni"));
  look();
  int written = 0;
  InstallOutcome last;
  for (int round = 0; round < 500; ++round) {  // 10 s
    if (has(kOurs)) {
      files_.put(std::string(kOurs) + ".cilium_bak", ours());
      files_.erase(kOurs);
    }
    clock_.advance(std::chrono::milliseconds(20));
    last = look();
    written += last.changes.empty() ? 0 : 1;
  }
  EXPECT_LE(written, 8);
  EXPECT_EQ(last.standing, Standing::kContested);
  EXPECT_THAT(last.note, HasSubstr("Cilium renames it; set cni.exclusive=false"));
  EXPECT_GT(installer_.nextLook(), clock_.now());
  // Cilium's value is mended.
  clock_.advance(std::chrono::minutes(6));
  EXPECT_EQ(look().standing, Standing::kChained);
  EXPECT_TRUE(has(kOurs));
}

TEST_F(Installer, SaysWhenAnotherFileComesFirst) {
  files_.put("/etc/cni/net.d/00-a.conflist", listOf("a", "a-cni"));
  const auto outcome = look();
  EXPECT_EQ(outcome.standing, Standing::kShadowed);
  EXPECT_THAT(outcome.note, HasSubstr("set cni.file to a name that sorts before it"));
}

TEST_F(Installer, AFailedWriteLeavesTheOldFile) {
  files_.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni"));
  look();
  const std::string before = ours();
  testing_support::MemoryFilesystem full([](const std::string& what) -> Result<void> {
    if (what.find(kOurs) == std::string::npos) return {};
    return Error(ErrorCode::kExhausted, what + ": no space left on device");
  });
  full.put(kOurs, before);
  full.put("/usr/lib/railhead/railhead-cni", "program 1");
  full.put("/etc/cni/net.d/10-a.conflist", listOf("a", "a-cni-2"));
  ConflistInstaller installer(config(), full, clock_);
  const auto outcome = installer.bringUpToDate();
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(*full.readFile(kOurs), before);
}

}  // namespace
}  // namespace railhead::conflist

#include "lab/guest/interfaces.h"
#include "lab/guest/layout.h"
#include "lab/guest/modules.h"

#include <cstring>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = testing::TempDir() + "guest.XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ModuleListTest, PathsAndParameters) {
  const auto entries = parseModuleList("kernel/a.ko\n\nkernel/net/igb.ko async_probe x=1\n");
  ASSERT_TRUE(entries.has_value());
  EXPECT_THAT(*entries, ElementsAre(ModuleEntry{"kernel/a.ko", ""},
                                    ModuleEntry{"kernel/net/igb.ko", "async_probe x=1"}));
}

TEST(ModuleListTest, PathsThatLeaveTheFolderAreRefused) {
  for (const char* bad : {"/lib/a.ko", "../a.ko", "kernel/../../a.ko", "a.txt"}) {
    const auto entries = parseModuleList(bad);
    ASSERT_FALSE(entries.has_value()) << bad;
    EXPECT_THAT(entries.error().message, HasSubstr(bad));
  }
}

TEST(ModuleListTest, AMissingListIsNamed) {
  const TemporaryFolder folder;
  const auto loaded = loadModules(folder.path(), "boot.list");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_THAT(loaded.error().message, HasSubstr(folder.path() + "/boot.list"));
}

TEST(LayoutTest, OnlyThePromisedFoldersAreWritable) {
  std::vector<std::string> writable;
  for (const MountStep& step : nodeMounts()) {
    if (std::strcmp(step.type, "tmpfs") == 0) writable.emplace_back(step.target);
  }
  EXPECT_THAT(writable, ElementsAre("/dev/shm", "/run", "/tmp", "/var", "/opt", "/etc/cni"));
}

TEST(LayoutTest, EveryFolderLiesOnSomethingWritable) {
  for (const std::string& folder : nodeFolders()) {
    bool covered = false;
    for (const MountStep& step : nodeMounts()) {
      covered = covered || (std::strcmp(step.type, "tmpfs") == 0 &&
                            folder.starts_with(std::string(step.target) + "/"));
    }
    EXPECT_TRUE(covered) << folder;
  }
}

TEST(LayoutTest, ParentsAreMountedBeforeTheirChildren) {
  std::vector<std::string> mounted;
  for (const MountStep& step : nodeMounts()) {
    const std::string target = step.target;
    for (const MountStep& other : nodeMounts()) {
      if (target.starts_with(std::string(other.target) + "/")) {
        EXPECT_THAT(mounted, Contains(other.target)) << target;
      }
    }
    mounted.push_back(target);
  }
}

TEST(InterfacesTest, FindsTheNetdevByPciAddress) {
  const TemporaryFolder sys;
  std::filesystem::create_directories(sys.path() + "/bus/pci/devices/0000:01:00.0/net/eth0");
  const auto name = interfaceOf(sys.path(), PciAddress::parse("0000:01:00.0").value());
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(*name, "eth0");
}

TEST(InterfacesTest, AMissingNetdevIsNamedAfterTheDeadline) {
  const TemporaryFolder sys;
  const auto named = nameInterfaces(
      sys.path(), {{PciAddress::parse("0000:02:00.0").value(), "enP2p1s0f0np0"}}, 20);
  ASSERT_FALSE(named.has_value());
  EXPECT_EQ(named.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(named.error().message, HasSubstr("0000:02:00.0 has no network device"));
}

}  // namespace
}  // namespace railhead::lab

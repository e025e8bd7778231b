// The link contract over this machine's own kernel, in namespaces of the test's own.
#include "src/netlink/ethtool.h"
#include "src/os/process.h"
#include "tests/support/netlink_contract.h"

#include <csignal>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead {
namespace {

// A child that lives in a network namespace of its own until it is killed.
class OtherNamespace {
 public:
  OtherNamespace() {
    int ready[2];
    if (pipe(ready) != 0) std::abort();
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char ok = unshare(CLONE_NEWNET) == 0 ? 1 : 0;
      if (write(ready[1], &ok, 1) != 1) _exit(1);
      for (;;) pause();
    }
    char ok = 0;
    opened_ = read(ready[0], &ok, 1) == 1 && ok == 1;
    close(ready[0]);
    close(ready[1]);
  }
  ~OtherNamespace() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  bool opened() const { return opened_; }
  std::string path() const { return "/proc/" + std::to_string(child_) + "/ns/net"; }

 private:
  pid_t child_ = -1;
  bool opened_ = false;
};

// Into namespaces where this test may do everything. As an ordinary user through a user namespace.
bool enterOwnNamespace() {
  if (geteuid() == 0) return unshare(CLONE_NEWNET) == 0;
  const auto uid = geteuid();
  const auto gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
  std::ofstream("/proc/self/gid_map") << "0 " << gid << " 1";
  return geteuid() == 0;
}

class KernelWorld final : public testing_support::NetlinkWorld {
 public:
  explicit KernelWorld(os::Netns other) : other_(std::move(other)) {}
  netlink::NetlinkOpener& netlink() override { return *netlink_; }
  const os::Netns& other() override { return other_; }
  std::string linkName() override { return "rh0"; }

 private:
  std::unique_ptr<netlink::NetlinkOpener> netlink_ = netlink::openKernel();
  os::Netns other_;
};

TEST(NetlinkKernel, KeepsTheLinkContract) {
  if (!enterOwnNamespace()) GTEST_SKIP() << "this machine allows no namespaces of our own";
  const OtherNamespace neighbour;
  ASSERT_TRUE(neighbour.opened());
  os::SystemProcessRunner runner;
  const auto made =
      runner.run({.argv = {"ip", "link", "add", "rh0", "type", "veth", "peer", "name", "rh1"},
                  .environment = std::nullopt,
                  .input = {}});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  ASSERT_EQ(made->exitCode, 0) << made->errorOutput;
  os::SystemNetnsOpener opener;
  auto other = opener.open(neighbour.path());
  ASSERT_TRUE(other.has_value()) << other.error().message;
  KernelWorld world(std::move(*other));
  testing_support::checkLinkContract(world);
}

TEST(NetlinkKernel, ReadsADriversOwnCounters) {
  if (!enterOwnNamespace()) GTEST_SKIP() << "this machine allows no namespaces of our own";
  os::SystemProcessRunner runner;
  const auto made =
      runner.run({.argv = {"ip", "link", "add", "rh0", "type", "veth", "peer", "name", "rh1"},
                  .environment = std::nullopt,
                  .input = {}});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  ASSERT_EQ(made->exitCode, 0) << made->errorOutput;
  const auto counters = netlink::openDriverCounters();
  const auto told = counters->read("rh0");
  ASSERT_TRUE(told.has_value()) << told.error().message;
  EXPECT_TRUE(told->contains("peer_ifindex"));
  EXPECT_EQ(counters->read("lo").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(counters->read("rh9").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(counters->read("").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(counters->read("sixteen-bytes-xx").error().code, ErrorCode::kInvalidArgument);
}

// sysfs shows the namespace of whoever mounted it; this machine's /sys has no rh2.
TEST(NetlinkKernel, TheSysfsOfANamespaceIsSeenFromOutside) {
  if (geteuid() != 0) GTEST_SKIP() << "a mount of sysfs needs CAP_SYS_ADMIN";
  const OtherNamespace neighbour;
  if (!neighbour.opened()) GTEST_SKIP() << "this machine allows no namespaces of our own";
  os::SystemNetnsOpener opener;
  const auto other = opener.open(neighbour.path());
  ASSERT_TRUE(other.has_value()) << other.error().message;
  const auto sysfs = opener.sysfs(*other);
  if (!sysfs.has_value() && sysfs.error().code == ErrorCode::kPermissionDenied)
    GTEST_SKIP() << sysfs.error().message;
  ASSERT_TRUE(sysfs.has_value()) << sysfs.error().message;
  EXPECT_EQ((*sysfs)->listDirectory("/class/net").value_or(std::vector<std::string>()),
            std::vector<std::string>{"lo"});
  os::SystemProcessRunner runner;
  const auto made = os::runInside(*other, [&]() -> Result<void> {
    RAILHEAD_TRY(runner.run({.argv = {"ip", "link", "add", "rh2", "type", "veth", "peer", "rh3"}}));
    return {};
  });
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_TRUE((*sysfs)->exists("/class/net/rh2/address"));
  EXPECT_TRUE((*sysfs)->readTrimmed("/class/net/rh2/mtu").has_value());
  EXPECT_FALSE((*sysfs)->writeFile("/class/net/rh2/mtu", "1400").has_value());
  const auto host = std::move(*os::RootedFilesystem::open("/"));
  EXPECT_FALSE(host->exists("/sys/class/net/rh2"));
}

TEST(NetlinkKernel, ANamespaceIsKnownByItsIdentity) {
  os::SystemNetnsOpener opener;
  const auto own = opener.open("/proc/self/ns/net");
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->id, opener.current()->id);
  EXPECT_EQ(opener.open("/dev/null").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(opener.open("/nonexistent").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace railhead

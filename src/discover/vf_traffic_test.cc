#include "src/discover/vf_traffic.h"

#include "src/discover/discover.h"
#include "tests/support/fake_kernel.h"

#include <gtest/gtest.h>

namespace railhead::discover {
namespace {

using SteadyClock = std::chrono::steady_clock;

class VfTrafficTest : public testing::Test {
 protected:
  void SetUp() override {
    kernel_.addPf({.pci = "0000:01:00.0", .netdev = "enp1s0f0np0", .mac = "52:54:00:00:01:00"});
    ASSERT_TRUE(kernel_.files()
                    .writeFile("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", "2")
                    .has_value());
  }
  Node node() { return *discoverNode(kernel_.files(), kernel_.paths()); }
  static SteadyClock::time_point soon() { return SteadyClock::now() + std::chrono::minutes(1); }

  testing_support::FakeKernel kernel_;
};

TEST_F(VfTrafficTest, CountsAVfWhereverItIs) {
  kernel_.setVfTraffic("enp1s0f0np0", {.vf = 1, .receiveBytes = 4096, .transmitBytes = 99});
  const auto host = node();
  const auto link = kernel_.linkOf(host.pfs[0].vfs[1].pci.toString());
  ASSERT_TRUE(link.has_value());
  kernel_.addNetns("pod");
  const auto pod = kernel_.open(kernel_.netnsPath("pod"));
  ASSERT_TRUE((*kernel_.openLinks(nullptr))->move(link->index, *pod, "net1").has_value());
  const auto report = readVfTraffic(kernel_, node(), soon());
  ASSERT_EQ(report.vfs.size(), 1U) << "VF 0 is not counted, and so absent";
  EXPECT_EQ(report.vfs[0].pf, "enp1s0f0np0");
  EXPECT_EQ(report.vfs[0].pci, host.pfs[0].vfs[1].pci);
  EXPECT_EQ(report.vfs[0].carried.receiveBytes, 4096U);
  EXPECT_EQ(report.vfs[0].carried.transmitBytes, 99U);
  EXPECT_FALSE(report.cut);
}

TEST_F(VfTrafficTest, IsEmptyWhereNothingIsCounted) {
  EXPECT_TRUE(readVfTraffic(kernel_, node(), soon()).vfs.empty());
  EXPECT_TRUE(readVfTraffic(kernel_, {}, soon()).vfs.empty());
}

TEST_F(VfTrafficTest, AsksNoMoreAfterTheDeadline) {
  kernel_.setVfTraffic("enp1s0f0np0", {.vf = 0, .receiveBytes = 1});
  const auto report = readVfTraffic(kernel_, node(), SteadyClock::now());
  EXPECT_TRUE(report.vfs.empty());
  EXPECT_TRUE(report.cut);
}

}  // namespace
}  // namespace railhead::discover

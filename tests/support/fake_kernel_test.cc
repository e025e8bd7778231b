// The fake's own tests: it must refuse what Linux refuses.
#include "tests/support/fake_kernel.h"

#include "tests/support/netlink_contract.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::testing_support {
namespace {

class FakeKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    kernel_.addPf({.pci = "0000:01:00.0", .netdev = "enp1s0f0np0", .mac = "52:54:00:00:01:00"});
    kernel_.addNetns("pod");
  }
  std::string pfFile(const std::string& name) {
    return "/sys/bus/pci/devices/0000:01:00.0/" + name;
  }
  Result<void> numVfs(const std::string& count) {
    return kernel_.files().writeFile(pfFile("sriov_numvfs"), count);
  }

  FakeKernel kernel_;
};

TEST_F(FakeKernelTest, CreatesVfsAsTheKernelDoes) {
  EXPECT_EQ(numVfs("8").error().errnoValue, ERANGE);
  ASSERT_TRUE(numVfs("4").has_value());
  EXPECT_TRUE(numVfs("4").has_value());
  EXPECT_EQ(numVfs("2").error().errnoValue, EBUSY);
  EXPECT_EQ(*kernel_.files().readTrimmed(pfFile("sriov_numvfs")), "4");
  EXPECT_EQ(*kernel_.files().linkName(pfFile("virtfn1")), "0000:01:10.2");
  EXPECT_EQ(*kernel_.files().linkName("/sys/bus/pci/devices/0000:01:10.2/driver"), "igbvf");
  EXPECT_TRUE(
      kernel_.files().exists("/sys/bus/pci/devices/0000:01:10.2/net/enp1s0f0np0v1/address"));
  ASSERT_TRUE(numVfs("0").has_value());
  EXPECT_FALSE(kernel_.files().exists("/sys/bus/pci/devices/0000:01:10.2"));
}

TEST_F(FakeKernelTest, AdminMacArrivesWithTheDriver) {
  ASSERT_TRUE(numVfs("1").has_value());
  auto links = std::move(*kernel_.openLinks(nullptr));
  const Mac mac = *Mac::parse("02:00:00:00:00:01");
  ASSERT_TRUE(links->changeVf(links->link("enp1s0f0np0")->index, 0, {.mac = mac}).has_value());
  EXPECT_NE(links->link("enp1s0f0np0v0")->mac, mac);
  ASSERT_TRUE(
      kernel_.files().writeFile("/sys/bus/pci/drivers/igbvf/unbind", "0000:01:10.0").has_value());
  EXPECT_FALSE(links->link("enp1s0f0np0v0").has_value());
  ASSERT_TRUE(
      kernel_.files().writeFile("/sys/bus/pci/drivers/igbvf/bind", "0000:01:10.0").has_value());
  EXPECT_EQ(links->link("enp1s0f0np0v0")->mac, mac);
  EXPECT_EQ(kernel_.files().writeFile("/sys/bus/pci/drivers/igb/bind", "0000:01:10.0").error().code,
            ErrorCode::kBusy);
}

TEST_F(FakeKernelTest, MovesFlushesAndReturnsLinks) {
  ASSERT_TRUE(numVfs("1").has_value());
  auto host = std::move(*kernel_.openLinks(nullptr));
  const auto pod = kernel_.open("/var/run/netns/pod");
  ASSERT_TRUE(pod.has_value());
  auto inside = std::move(*kernel_.openLinks(&*pod));
  const int index = host->link("enp1s0f0np0v0")->index;
  ASSERT_TRUE(host->change(index, {.up = true}).has_value());
  EXPECT_EQ(host->change(index, {.name = "x"}).error().code, ErrorCode::kBusy);
  EXPECT_EQ(host->move(index, *pod, "lo").error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(host->move(index, *pod, "net1").has_value());
  EXPECT_FALSE(host->change(index, {.mtu = 9000}).has_value());
  EXPECT_FALSE(inside->link("net1")->up);
  ASSERT_TRUE(inside->addAddress(index, *IpPrefix::parse("10.100.0.1/24")).has_value());
  EXPECT_FALSE(kernel_.files().exists("/sys/class/net/net1"));
  kernel_.killNetns("pod");
  ASSERT_TRUE(kernel_.link("net1").has_value());
  EXPECT_TRUE(kernel_.link("net1")->addresses.empty());
  EXPECT_EQ(kernel_.open("/var/run/netns/pod").error().code, ErrorCode::kNotFound);
}

TEST_F(FakeKernelTest, SoftRoceLivesOnALinkOfItsNamespace) {
  ASSERT_TRUE(numVfs("1").has_value());
  auto rdma = std::move(*kernel_.openRdma(nullptr));
  ASSERT_TRUE(rdma->addSoftRoce("rxe0", "enp1s0f0np0v0").has_value());
  EXPECT_EQ(rdma->addSoftRoce("rxe0", "enp1s0f0np0v0").error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(rdma->ports()->at(0).netdev, "enp1s0f0np0v0");
  auto host = std::move(*kernel_.openLinks(nullptr));
  const auto pod = kernel_.open("/var/run/netns/pod");
  ASSERT_TRUE(host->move(host->link("enp1s0f0np0v0")->index, *pod, "net1").has_value());
  EXPECT_TRUE(rdma->devices()->empty());
}

class FakeWorld final : public NetlinkWorld {
 public:
  explicit FakeWorld(FakeKernel& kernel)
      : kernel_(kernel), other_(std::move(*kernel.open("/var/run/netns/pod"))) {}
  netlink::NetlinkOpener& netlink() override { return kernel_; }
  const os::Netns& other() override { return other_; }
  std::string linkName() override { return "veth0"; }

 private:
  FakeKernel& kernel_;
  os::Netns other_;
};

TEST_F(FakeKernelTest, KeepsTheLinkContract) {
  kernel_.addHostLink("veth0", "veth");
  FakeWorld world(kernel_);
  checkLinkContract(world);
}

TEST_F(FakeKernelTest, InjectsFaultsIntoTheNthChange) {
  kernel_.revive();
  kernel_.failAt(2, ENOMEM);
  EXPECT_TRUE(numVfs("1").has_value());
  EXPECT_EQ(numVfs("0").error().errnoValue, ENOMEM);
  EXPECT_TRUE(numVfs("0").has_value());
  kernel_.crashAt(4);
  EXPECT_FALSE(numVfs("1").has_value());
  EXPECT_FALSE(numVfs("1").has_value());
  EXPECT_EQ(kernel_.operations(), 5);
  EXPECT_THAT(kernel_.log(), testing::SizeIs(2));
  kernel_.revive();
  EXPECT_TRUE(numVfs("1").has_value());
}

}  // namespace
}  // namespace railhead::testing_support

#include "src/advertise/selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::advertise {
namespace {

struct Case {
  const char* what;
  Selector selector;
  bool selected;
};

class SelectorTest : public testing::Test {
 protected:
  SelectorTest() {
    pf_.pci = *PciAddress::parse("0000:01:00.0");
    pf_.netdev = "enp1s0f0np0";
    pf_.linkType = discover::LinkType::kEthernet;
    pf_.physPortName = "p0";
    vf_.pci = *PciAddress::parse("0000:01:00.4");
    vf_.index = 2;
    vf_.vendor = 0x15b3;
    vf_.device = 0x101e;
    vf_.driver = "mlx5_core";
    vf_.netdev = "enp1s0f0v2";
    vf_.rdma.push_back({"mlx5_4", "uverbs4", {}, "DOWN"});
  }
  discover::Pf pf_;
  discover::Vf vf_;
};

VfRange range(const char* text) { return *VfRange::parse(text); }

TEST_F(SelectorTest, EveryFieldThatIsGivenMustHoldAndOneOfItsValuesIsEnough) {
  const std::vector<Case> cases{
      {"nothing", {}, true},
      {"vendor", {.vendors = {0x8086, 0x15b3}}, true},
      {"other vendor", {.vendors = {0x8086}}, false},
      {"device", {.devices = {0x101e}}, true},
      {"the PF's device", {.devices = {0x1021}}, false},
      {"driver", {.drivers = {"mlx5_core"}}, true},
      {"other driver", {.drivers = {"vfio-pci"}}, false},
      {"PF", {.pfNames = {range("enp1s0f0np0")}}, true},
      {"PF and range", {.pfNames = {range("enp1s0f0np0#0,2-3")}}, true},
      {"outside the range", {.pfNames = {range("enp1s0f0np0#0-1")}}, false},
      {"other PF", {.pfNames = {range("enP2p1s0f0np0")}}, false},
      {"root device", {.rootDevices = {range("0000:01:00.0#2")}}, true},
      {"other root device", {.rootDevices = {range("0002:01:00.0")}}, false},
      {"address", {.pciAddresses = {*PciAddress::parse("0000:01:00.4")}}, true},
      {"other address", {.pciAddresses = {*PciAddress::parse("0000:01:00.5")}}, false},
      {"ether", {.linkTypes = {discover::LinkType::kEthernet}}, true},
      {"infiniband", {.linkTypes = {discover::LinkType::kInfiniband}}, false},
      {"port", {.ports = {"p0"}}, true},
      {"other port", {.ports = {"p1"}}, false},
      {"twin", {.twin = 1}, true},
      {"other twin", {.twin = 0}, false},
      {"rdma", {.isRdma = true}, true},
      {"one of two wrong", {.vendors = {0x15b3}, .drivers = {"vfio-pci"}}, false},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(selects(one.selector, pf_, vf_, 1), one.selected) << one.what;
  }
}

// Its RDMA device is with the pod (exclusive mode), and it must stay counted.
TEST_F(SelectorTest, AVfInAPodKeepsItsPlace) {
  vf_.rdma.clear();
  const Selector rdma{.isRdma = true};
  EXPECT_FALSE(selects(rdma, pf_, vf_, 0));
  vf_.netdev.clear();
  EXPECT_TRUE(selects(rdma, pf_, vf_, 0));
  vf_.netdev = "enp1s0f0v2";
  EXPECT_TRUE(selects({.isRdma = false}, pf_, vf_, 0));  // asks for nothing
}

TEST(VfRange, RefusesWhatIsNoRange) {
  for (const char* text :
       {"", "#1", "eth0#", "eth0#a", "eth0#3-1", "eth0#1-", "eth0#-1", "eth0#1,,2", "eth0#99999"}) {
    EXPECT_FALSE(VfRange::parse(text).has_value()) << text;
  }
  const auto good = VfRange::parse("eth0#0-3,7");
  ASSERT_TRUE(good.has_value());
  EXPECT_TRUE(good->holds(0) && good->holds(3) && good->holds(7));
  EXPECT_FALSE(good->holds(4));
}

}  // namespace
}  // namespace railhead::advertise

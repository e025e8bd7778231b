#include "src/attach/config.h"

#include "src/attach/address_plan.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;

IpPrefix subnet(const char* text) { return *IpPrefix::parse(text); }

AttachConfig twoRails() {
  AttachConfig config;
  config.addresses = {.nodeOrdinal = 1, .railSetsPerNode = 4, .nodes = 2};
  config.networks = {{.name = "dgx-qsfp",
                      .resourceName = "nvidia.com/cx7_qsfp",
                      .railSubnets = {{subnet("10.100.0.0/24"), subnet("fd00:0:0:1::/64")},
                                      {subnet("10.100.1.0/24")}},
                      .mtu = 9000}};
  return config;
}

std::string refusal(const AttachConfig& config) {
  const auto checked = validate(config);
  return checked.has_value() ? "" : checked.error().message;
}

TEST(AttachConfig, TheReferenceIsValid) { EXPECT_EQ(refusal(twoRails()), ""); }

TEST(AttachConfig, NamesFieldValueAndWhatIsAllowed) {
  auto config = twoRails();
  config.addresses.railSetsPerNode = 0;
  EXPECT_EQ(refusal(config), "railSetsPerNode is 0: 1 to 1024 are allowed");
  config = twoRails();
  config.addresses.nodeOrdinal = 2;
  EXPECT_EQ(refusal(config), "nodeOrdinal is 2: 0 to 1 are allowed");
  config = twoRails();
  config.networks[0].mtu = 100;
  EXPECT_EQ(refusal(config), "networks[0]: mtu is 100: 1280 to 65520 are allowed");
  config = twoRails();
  config.networks[0].railSubnets[1] = {subnet("10.100.1.7/24")};
  EXPECT_EQ(refusal(config),
            "networks[0]: subnets[1] is 10.100.1.7/24: its host bits must be zero, as in "
            "10.100.1.0/24");
  config = twoRails();
  config.networks[0].railSubnets[0] = {subnet("10.0.0.0/24"), subnet("10.1.0.0/24")};
  EXPECT_THAT(refusal(config), HasSubstr("at most one IPv4 and one IPv6"));
  config = twoRails();
  config.networks.push_back(config.networks[0]);
  EXPECT_EQ(refusal(config), "networks[1].name is 'dgx-qsfp': networks[0] has this name already");
}

TEST(AttachConfig, SubnetsTooSmallAreRefusedWithTheNumbers) {
  auto config = twoRails();
  config.networks[0].railSubnets[1] = {subnet("10.100.1.0/29")};
  EXPECT_EQ(refusal(config),
            "networks[0]: subnets[1]: 10.100.1.0/29 has 6 usable addresses, 2 nodes with 4 rail "
            "sets each need 8");
  config.networks[0].railSubnets[1] = {subnet("10.100.1.0/28")};
  EXPECT_EQ(refusal(config), "");
  config.networks[0].railSubnets[1] = {subnet("10.100.1.0/31")};
  EXPECT_THAT(refusal(config), HasSubstr("has 0 usable addresses"));
  config.addresses.nodes = 0;  // only this node, number 1, is checked
  config.networks[0].railSubnets[1] = {subnet("10.100.1.0/29")};
  EXPECT_THAT(refusal(config), HasSubstr("need 8"));
}

TEST(AttachConfig, OverlapsAreRefusedButAliasesAreNot) {
  auto config = twoRails();
  config.networks[0].railSubnets[1] = {subnet("10.100.0.0/16")};
  EXPECT_THAT(refusal(config), HasSubstr("networks[0].subnets[1] is 10.100.0.0/16: it overlaps "
                                         "10.100.0.0/24 of networks[0].subnets[0]"));
  config = twoRails();
  config.networks.push_back(config.networks[0]);
  config.networks[1].name = "second-name";
  EXPECT_EQ(refusal(config), "");
  config.networks[1].resourceName = "other.com/nic";
  EXPECT_THAT(refusal(config), HasSubstr("every rail needs a subnet of its own"));
}

TEST(AddressPlan, FollowsTheFormula) {
  const AddressPlanConfig node0{.nodeOrdinal = 0, .railSetsPerNode = 4};
  const AddressPlanConfig node3{.nodeOrdinal = 3, .railSetsPerNode = 4};
  EXPECT_EQ(railAddress(subnet("10.100.0.0/24"), node0, 0)->toString(), "10.100.0.1/24");
  EXPECT_EQ(railAddress(subnet("10.100.0.0/24"), node0, 3)->toString(), "10.100.0.4/24");
  EXPECT_EQ(railAddress(subnet("10.100.0.0/24"), node3, 2)->toString(), "10.100.0.15/24");
  EXPECT_EQ(railAddress(subnet("10.100.0.0/16"), {.nodeOrdinal = 100, .railSetsPerNode = 8}, 7)
                ->toString(),
            "10.100.3.40/16");
  EXPECT_EQ(railAddress(subnet("fd00:0:0:1::/64"), node3, 2)->toString(), "fd00:0:0:1::f/64");
}

TEST(AddressPlan, NoTwoVfsOfAFleetShareAnAddress) {
  std::set<IpPrefix> seen;
  for (int node = 0; node < 31; ++node) {
    for (int set = 0; set < 8; ++set) {
      const auto address = railAddress(subnet("10.0.0.0/24"), {node, 8, 31}, set);
      ASSERT_TRUE(address.has_value());
      EXPECT_TRUE(seen.insert(*address).second) << address->toString();
    }
  }
  EXPECT_EQ(seen.begin()->toString(), "10.0.0.1/24");
  EXPECT_EQ(seen.rbegin()->toString(), "10.0.0.248/24");
}

TEST(AddressPlan, LeavesOutNetworkAndBroadcast) {
  EXPECT_EQ(usableAddresses(subnet("10.0.0.0/30")), 2U);
  EXPECT_EQ(usableAddresses(subnet("10.0.0.0/32")), 0U);
  EXPECT_EQ(usableAddresses(subnet("fd00::/126")), 3U);
  EXPECT_EQ(railAddress(subnet("10.0.0.0/30"), {0, 4, 1}, 1)->toString(), "10.0.0.2/30");
  const auto last = railAddress(subnet("10.0.0.0/30"), {0, 4, 1}, 2);
  EXPECT_EQ(last.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(last.error().message,
              HasSubstr("10.0.0.0/30 has 2 addresses: number 3 is needed (node 0, rail set 2)"));
}

TEST(AddressPlan, IndexBeyondThePlanIsRefused) {
  const auto outside = railAddress(subnet("10.0.0.0/24"), {0, 4, 1}, 4);
  EXPECT_EQ(outside.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(outside.error().message, HasSubstr("railSetsPerNode is 4"));
}

}  // namespace
}  // namespace railhead::attach

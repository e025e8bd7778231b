#include "src/attach/subnet_use.h"

#include "tests/support/fake_kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;

struct Row {
  const char* link;  // "br0": somebody else's; "pf": of the rail
  const char* destination;
  const char* gateway;  // "" : none
  const char* source;
  const char* says;  // "": free
};

class SubnetUse : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    kernel_.addPf({.pci = "0000:01:00.0", .netdev = "pf", .mac = "52:54:00:00:01:00"});
    kernel_.addHostLink("br0", "bridge");
    links_ = std::move(*kernel_.openLinks(nullptr));
    for (const char* name : {"pf", "br0"}) {
      const int index = links_->link(name)->index;
      ASSERT_TRUE(links_->change(index, {.up = true}).has_value());
      ASSERT_TRUE(links_->addAddress(index, *IpPrefix::parse("192.168.0.9/16")).has_value());
      ASSERT_TRUE(links_->addAddress(index, *IpPrefix::parse("10.0.0.9/24")).has_value());
    }
  }
  Result<void> check() {
    discover::RailSet set{"x", 0, {}};
    set.rails.push_back(
        {*PciAddress::parse("0000:01:00.0"), *PciAddress::parse("0000:01:10.0"), 0, 0});
    NetworkDefinition network{.name = "n", .resourceName = "r"};
    network.railSubnets = {{*IpPrefix::parse("192.168.4.0/24")}};
    // Addresses 1 to 8 belong to VFs.
    return checkUnused(subnetsOf(network, "network n"),
                       {.nodeOrdinal = 0, .railSetsPerNode = 4, .nodes = 2}, *links_,
                       railDevices({set}), "this node");
  }

  testing_support::FakeKernel kernel_;
  std::unique_ptr<netlink::LinkClient> links_;
};

TEST_P(SubnetUse, IsToldFromTheRoutes) {
  const Row& row = GetParam();
  netlink::Route route{.destination = *IpPrefix::parse(row.destination)};
  if (*row.gateway != 0) route.gateway = *IpAddress::parse(row.gateway);
  if (*row.source != 0) route.source = *IpAddress::parse(row.source);
  route.linkIndex = links_->link(row.link)->index;
  const auto added = links_->addRoute(route);
  ASSERT_TRUE(added.has_value()) << added.error().message;
  const auto unused = check();
  if (*row.says == 0) {
    EXPECT_TRUE(unused.has_value()) << unused.error().message;
    return;
  }
  ASSERT_FALSE(unused.has_value());
  EXPECT_EQ(unused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unused.error().message, HasSubstr("network n.subnets[0] is 192.168.4.0/24: "));
  EXPECT_THAT(unused.error().message, HasSubstr(row.says));
}

INSTANTIATE_TEST_SUITE_P(
    Routes, SubnetUse,
    testing::Values(
        Row{"br0", "192.168.4.0/24", "", "", "this node has a route to 192.168.4.0/24 through br0"},
        Row{"br0", "192.168.4.128/25", "", "", "192.168.4.128/25 through br0"},
        Row{"br0", "192.168.0.0/16", "", "192.168.0.9", "a route to 192.168.0.0/16 through br0"},
        Row{"br0", "192.168.4.7/32", "192.168.0.1", "", "by 192.168.0.1 through br0"},
        Row{"br0", "192.168.4.0/22", "192.168.4.1", "", "by 192.168.4.1 through br0"},
        // The way to everything that is elsewhere.
        Row{"br0", "0.0.0.0/0", "192.168.0.1", "", ""},
        Row{"br0", "192.0.0.0/8", "10.0.0.1", "", ""}, Row{"br0", "192.168.5.0/24", "", "", ""},
        Row{"br0", "fd00::/64", "", "", ""},
        // The rail's own interface may have an address there, but none of a VF's.
        Row{"pf", "192.168.4.0/24", "", "192.168.4.200", ""},
        Row{"pf", "192.168.4.0/24", "", "192.168.4.8",
            "through pf with 192.168.4.8, which belongs to a VF"}));

TEST(Overlaps, AreOfOneRailOnly) {
  const auto network = [](const std::string& resource, std::vector<std::string> subnets) {
    NetworkDefinition made{.name = "n", .resourceName = resource};
    for (const auto& subnet : subnets) made.railSubnets.push_back({*IpPrefix::parse(subnet)});
    return made;
  };
  const auto together = [](const NetworkDefinition& one, const NetworkDefinition& other) {
    auto all = subnetsOf(one, "network a");
    for (const auto& subnet : subnetsOf(other, "network b")) all.push_back(subnet);
    return checkOverlaps(all);
  };
  const auto rails = network("r", {"10.0.0.0/24", "10.0.1.0/24"});
  EXPECT_TRUE(together(rails, rails).has_value());
  EXPECT_TRUE(together(rails, network("r", {"10.0.2.0/24", "10.0.3.0/24"})).has_value());
  EXPECT_THAT(together(rails, network("r", {"10.0.1.0/24"})).error().message,
              HasSubstr("network b.subnets[0] is 10.0.1.0/24: it overlaps 10.0.1.0/24 of network "
                        "a.subnets[1]"));
  EXPECT_FALSE(together(rails, network("other", {"10.0.0.0/24"})).has_value());
  EXPECT_FALSE(together(rails, network("r", {"10.0.0.0/16"})).has_value());
}

}  // namespace
}  // namespace railhead::attach

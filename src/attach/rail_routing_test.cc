#include "src/attach/rail_routing.h"

#include "tests/support/fake_kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class RailRoutingTest : public testing::Test {
 protected:
  void SetUp() override {
    kernel_.addHostLink("net1", "dummy");
    kernel_.addHostLink("net2", "dummy");
    links_ = std::move(*kernel_.openLinks(nullptr));
    for (const auto& [name, address] :
         {std::pair{"net1", "10.100.0.5/24"}, std::pair{"net2", "10.100.0.6/24"}}) {
      const int index = links_->link(name)->index;
      ASSERT_TRUE(links_->addAddress(index, *IpPrefix::parse(address)).has_value());
      ASSERT_TRUE(links_->change(index, {.up = true}).has_value());
    }
  }
  RailRouting rail(const char* name, const char* address, const char* gateway = nullptr) {
    RailRouting rail{links_->link(name)->index, {*IpPrefix::parse(address)}, {}};
    if (gateway != nullptr) rail.gateways.push_back(*IpAddress::parse(gateway));
    return rail;
  }

  testing_support::FakeKernel kernel_;
  std::unique_ptr<netlink::LinkClient> links_;
};

TEST_F(RailRoutingTest, EachRailHasATableThatItsAddressIsRoutedBy) {
  const RailRouting first = rail("net1", "10.100.0.5/24");
  const RailRouting second = rail("net2", "10.100.0.6/24", "10.100.0.254");
  ASSERT_TRUE(keepApart(*links_, first).has_value());
  ASSERT_TRUE(keepApart(*links_, second).has_value());
  EXPECT_TRUE(links_->link("net1")->strictArp);
  EXPECT_TRUE(links_->link("net2")->strictArp);
  const auto rules = kernel_.rules("");
  ASSERT_THAT(rules, SizeIs(2));
  EXPECT_NE(rules[0].table, rules[1].table);
  const auto routes = kernel_.routes("");
  ASSERT_THAT(routes, SizeIs(3));  // a subnet for each, and the second's default
  EXPECT_EQ(routes[0].linkIndex, first.linkIndex);
  EXPECT_EQ(routes[0].table, rules[0].table);
  EXPECT_EQ(routes[1].linkIndex, second.linkIndex);
  EXPECT_TRUE(routes[2].isDefault());
  EXPECT_EQ(routes[2].table, rules[1].table);
  EXPECT_TRUE(checkApart(*links_, first).has_value());
}

TEST_F(RailRoutingTest, TwiceIsOnceAndForgettingIsComplete) {
  const RailRouting one = rail("net1", "10.100.0.5/24");
  const RailRouting other = rail("net2", "10.100.0.6/24");
  ASSERT_TRUE(keepApart(*links_, one).has_value());
  ASSERT_TRUE(keepApart(*links_, one).has_value());
  ASSERT_TRUE(keepApart(*links_, other).has_value());
  EXPECT_THAT(kernel_.rules(""), SizeIs(2));
  ASSERT_TRUE(forget(*links_, 0, one.addresses).has_value());
  EXPECT_THAT(kernel_.rules(""), SizeIs(1));
  EXPECT_EQ(checkApart(*links_, one).error().code, ErrorCode::kCheckFailed);
  EXPECT_TRUE(checkApart(*links_, other).has_value());
  ASSERT_TRUE(forget(*links_, 0, one.addresses).has_value());
  ASSERT_TRUE(forget(*links_, other.linkIndex, {}).has_value());
  EXPECT_THAT(kernel_.rules(""), IsEmpty());
}

TEST_F(RailRoutingTest, LeavesRulesOfOthersAlone) {
  const netlink::Rule theirs{*IpAddress::parse("10.100.0.5"), 7, 100};
  ASSERT_TRUE(links_->addRule(theirs).has_value());
  const RailRouting one = rail("net1", "10.100.0.5/24");
  ASSERT_TRUE(keepApart(*links_, one).has_value());
  ASSERT_TRUE(forget(*links_, 0, one.addresses).has_value());
  EXPECT_THAT(kernel_.rules(""), SizeIs(1));
}

}  // namespace
}  // namespace railhead::attach

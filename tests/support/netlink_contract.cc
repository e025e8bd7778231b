#include "tests/support/netlink_contract.h"

#include <algorithm>

namespace railhead::testing_support {
namespace {

using netlink::LinkClient;

bool hasAddress(LinkClient& client, int index, const IpPrefix& wanted) {
  const auto addresses = client.addresses(index);
  return addresses.has_value() &&
         std::any_of(addresses->begin(), addresses->end(),
                     [&](const auto& one) { return one.prefix == wanted; });
}

void checkChanges(LinkClient& client, int index) {
  ASSERT_TRUE(client.change(index, {.up = false}).has_value());
  const Mac mac = *Mac::parse("02:00:5e:00:00:07");
  ASSERT_TRUE(client.change(index, {.mtu = 1400, .mac = mac, .name = "renamed"}).has_value());
  const auto renamed = client.link("renamed");
  ASSERT_TRUE(renamed.has_value()) << renamed.error().message;
  EXPECT_EQ(renamed->index, index);
  EXPECT_EQ(renamed->mtu, 1400);
  EXPECT_EQ(renamed->mac, mac);
  EXPECT_FALSE(renamed->up);
  ASSERT_TRUE(client.change(index, {.up = true}).has_value());
  EXPECT_TRUE(client.link("renamed")->up);
  EXPECT_EQ(client.change(index, {.mtu = 1}).error().code, ErrorCode::kInvalidArgument);
}

void checkAddresses(LinkClient& client, int index) {
  for (const char* text : {"10.100.0.5/24", "fd00:100::5/64"}) {
    const IpPrefix address = *IpPrefix::parse(text);
    ASSERT_TRUE(client.addAddress(index, address).has_value()) << text;
    EXPECT_TRUE(hasAddress(client, index, address)) << text;
    EXPECT_EQ(client.addAddress(index, address).error().code, ErrorCode::kAlreadyExists);
    ASSERT_TRUE(client.removeAddress(index, address).has_value());
    EXPECT_FALSE(hasAddress(client, index, address));
    EXPECT_EQ(client.removeAddress(index, address).error().code, ErrorCode::kNotFound);
  }
}

bool hasRoute(LinkClient& client, const netlink::Route& wanted) {
  const auto routes = client.routes();
  return routes.has_value() && std::any_of(routes->begin(), routes->end(), [&](const auto& one) {
           return one.destination == wanted.destination && one.gateway == wanted.gateway &&
                  one.linkIndex == wanted.linkIndex && one.table == wanted.table;
         });
}

// With the link up.
void checkRoutes(LinkClient& client, int index) {
  struct Case {
    const char* address;
    const char* destination;
    const char* gateway;  // nullptr: on the link
    std::uint32_t table;
  };
  for (const auto& one :
       {Case{"10.100.0.5/24", "10.200.0.0/16", "10.100.0.1", netlink::Route::kMainTable},
        Case{"10.100.0.5/24", "0.0.0.0/0", "10.100.0.1", netlink::Route::kMainTable},
        Case{"10.100.0.5/24", "10.201.0.0/16", nullptr, 1001},
        Case{"fd00:100::5/64", "fd00:200::/64", "fd00:100::1", netlink::Route::kMainTable},
        Case{"fd00:100::5/64", "::/0", "fd00:100::1", 1001}}) {
    const IpPrefix address = *IpPrefix::parse(one.address);
    ASSERT_TRUE(client.addAddress(index, address).has_value());
    netlink::Route route{.destination = *IpPrefix::parse(one.destination)};
    if (one.gateway != nullptr) route.gateway = *IpAddress::parse(one.gateway);
    route.linkIndex = index;
    route.table = one.table;
    const auto added = client.addRoute(route);
    ASSERT_TRUE(added.has_value()) << one.destination << ": " << added.error().message;
    EXPECT_TRUE(hasRoute(client, route)) << one.destination;
    EXPECT_EQ(client.addRoute(route).error().code, ErrorCode::kAlreadyExists) << one.destination;
    ASSERT_TRUE(client.removeRoute(route).has_value()) << one.destination;
    EXPECT_FALSE(hasRoute(client, route)) << one.destination;
    EXPECT_EQ(client.removeRoute(route).error().code, ErrorCode::kNotFound) << one.destination;
    if (one.gateway != nullptr) {  // out of reach
      route.gateway = *IpAddress::parse(address.address.v6 ? "fd00:999::1" : "10.99.0.1");
      EXPECT_FALSE(client.addRoute(route).has_value()) << one.destination;
    }
    ASSERT_TRUE(client.removeAddress(index, address).has_value());
  }
}

void checkRules(LinkClient& client) {
  for (const char* source : {"10.100.0.5", "fd00:100::5"}) {
    const netlink::Rule rule{*IpAddress::parse(source), 1001, 1000};
    const auto has = [&] {
      const auto rules = client.rules();
      return rules.has_value() && std::find(rules->begin(), rules->end(), rule) != rules->end();
    };
    EXPECT_FALSE(has()) << source;
    const auto added = client.addRule(rule);
    ASSERT_TRUE(added.has_value()) << added.error().message;
    EXPECT_TRUE(has()) << source;
    EXPECT_EQ(client.addRule(rule).error().code, ErrorCode::kAlreadyExists) << source;
    ASSERT_TRUE(client.removeRule(rule).has_value()) << source;
    EXPECT_FALSE(has()) << source;
    EXPECT_EQ(client.removeRule(rule).error().code, ErrorCode::kNotFound) << source;
  }
}

void checkArp(LinkClient& client, int index, const std::string& name) {
  EXPECT_FALSE(client.link(name)->strictArp);
  for (const bool strict : {true, false}) {
    const auto changed = client.change(index, {.strictArp = strict});
    ASSERT_TRUE(changed.has_value()) << changed.error().message;
    EXPECT_EQ(client.link(name)->strictArp, strict);
  }
}

}  // namespace

void checkLinkContract(NetlinkWorld& world) {
  auto here = std::move(*world.netlink().openLinks(nullptr));
  auto there = std::move(*world.netlink().openLinks(&world.other()));
  const auto link = here->link(world.linkName());
  ASSERT_TRUE(link.has_value()) << link.error().message;
  EXPECT_EQ(here->link("absent0").error().code, ErrorCode::kNotFound);
  const auto all = here->links();
  ASSERT_TRUE(all.has_value());
  EXPECT_TRUE(std::any_of(all->begin(), all->end(),
                          [&](const auto& one) { return one.index == link->index; }));

  checkChanges(*here, link->index);
  checkAddresses(*here, link->index);
  checkRoutes(*here, link->index);
  checkRules(*here);
  checkArp(*here, link->index, "renamed");
  for (const char* alias : {"railhead:renamed", "", "railhead:renamed"}) {
    const auto changed = here->change(link->index, {.alias = alias});
    ASSERT_TRUE(changed.has_value()) << changed.error().message;
    EXPECT_EQ(here->link("renamed")->alias, alias);
  }

  // A move: taken names are refused, the link arrives down, under its new name, without addresses.
  const IpPrefix address = *IpPrefix::parse("10.100.0.6/24");
  ASSERT_TRUE(here->addAddress(link->index, address).has_value());
  EXPECT_EQ(here->move(link->index, world.other(), "lo").error().code, ErrorCode::kAlreadyExists);
  const auto move = here->move(link->index, world.other(), "net1");
  ASSERT_TRUE(move.has_value()) << move.error().message;
  EXPECT_EQ(here->link("renamed").error().code, ErrorCode::kNotFound);
  const auto moved = there->link("net1");
  ASSERT_TRUE(moved.has_value()) << moved.error().message;
  EXPECT_FALSE(moved->up);
  EXPECT_EQ(moved->alias, "railhead:renamed");
  EXPECT_FALSE(hasAddress(*there, moved->index, address));
  EXPECT_FALSE(here->change(link->index, {.up = true}).has_value());
}

}  // namespace railhead::testing_support

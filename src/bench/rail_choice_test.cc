#include "src/bench/rail_choice.h"

#include "tests/support/fake_verbs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

using testing::HasSubstr;
using testing_support::FakeFabric;
using testing_support::FakeRdmaDevice;
using testing_support::FakeVerbs;

FakeRdmaDevice device(std::string name, std::string address, std::string netdev,
                      bool local = true) {
  FakeRdmaDevice out{std::move(name), std::move(address)};
  out.netdev = std::move(netdev);
  out.local = local;
  return out;
}

TEST(RailRequest, ParsesDeviceAndAddress) {
  EXPECT_EQ(RailRequest::parse("rocep1s0f0")->device, "rocep1s0f0");
  const auto with = RailRequest::parse("rxe0@10.100.0.5").value();
  EXPECT_EQ(with.device, "rxe0");
  EXPECT_EQ(with.address->toString(), "10.100.0.5");
  for (const char* bad : {"", "@10.0.0.1", "a b", "rxe0@", "rxe0@host", "../x/@1.2.3.4"}) {
    const auto result = RailRequest::parse(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, HasSubstr("rail '"));
  }
}

TEST(ChooseRails, TakesWhatIsInThisNamespaceByNetdevName) {
  const FakeFabric fabric;
  FakeVerbs node(fabric,
                 {device("rxe0", "10.100.1.2", "net2"), device("rxe1", "10.100.0.2", "net1"),
                  device("rxe2", "10.100.0.3", "net1", false)});
  const auto rails = chooseRails(node, {}).value();
  ASSERT_EQ(rails.size(), 2U);
  EXPECT_EQ(rails[0].device.name, "rxe1");
  EXPECT_EQ(rails[1].device.name, "rxe0");
  EXPECT_EQ(rails[0].gid.type, verbs::GidType::kRoceV2);
}

TEST(DevicesHere, AreThoseWithAnInterfaceInThisNamespace) {
  const FakeFabric fabric;
  FakeVerbs node(
      fabric, {device("rxe0", "10.100.1.2", "net2"), device("rxe1", "10.100.0.2", "net1", false)});
  const auto here = devicesHere(node).value();
  ASSERT_EQ(here.size(), 1U);
  EXPECT_EQ(here[0].name, "rxe0");
}

TEST(ChooseRails, NoDeviceIsTheEnvironmentsFault) {
  const FakeFabric fabric;
  FakeVerbs empty(fabric, {});
  const auto none = chooseRails(empty, {});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kEnvironment);
  EXPECT_EQ(none.error().message, "there is no RDMA device");
  EXPECT_FALSE(none.error().remedy.empty());
}

TEST(ChooseRails, SaysWhyEachDeviceCannotBeUsed) {
  const FakeFabric fabric;
  FakeRdmaDevice closed{"rxe0", "10.0.0.1"};
  closed.problem = "open RDMA device rxe0: Permission denied";
  FakeVerbs node(fabric, {closed, device("rxe1", "10.0.1.1", "net1", false)});
  const auto none = chooseRails(node, {});
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message, HasSubstr("Permission denied"));
  EXPECT_THAT(none.error().message, HasSubstr("rxe1: its interface is in another network"));
  const auto named = chooseRails(node, {RailRequest{"rxe0", std::nullopt}});
  ASSERT_FALSE(named.has_value());
  EXPECT_EQ(named.error().code, ErrorCode::kEnvironment);
}

TEST(ChooseRails, KeepsTheOrderAskedForAndNamesWhatIsMissing) {
  const FakeFabric fabric;
  FakeVerbs node(fabric, {device("rxe0", "10.0.0.1", "net1"), device("rxe1", "10.0.1.1", "net2")});
  const auto rails = chooseRails(node, {{"rxe1", std::nullopt}, {"rxe0", std::nullopt}}).value();
  EXPECT_EQ(rails[0].device.name, "rxe1");
  const auto unknown = chooseRails(node, {{"mlx5_0", std::nullopt}});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message, HasSubstr("'mlx5_0'"));
  EXPECT_THAT(unknown.error().message, HasSubstr("rxe0, rxe1"));
  const auto address = chooseRails(node, {{"rxe0", IpAddress::parse("10.9.9.9").value()}});
  ASSERT_FALSE(address.has_value());
  EXPECT_EQ(address.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(address.error().message, HasSubstr("10.9.9.9"));
  const auto twice = chooseRails(node, {{"rxe0", std::nullopt}, {"rxe0", std::nullopt}});
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace railhead::bench

#include "src/verbs/gid_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::verbs {
namespace {

GidEntry entry(std::uint32_t index, GidType type, const char* ip, bool local) {
  GidEntry out;
  out.index = index;
  out.type = type;
  out.gid = Gid::fromIp(IpAddress::parse(ip).value());
  out.netdev = local ? "net1" : "";
  out.local = local;
  return out;
}

DeviceInfo device() {
  DeviceInfo info;
  info.name = "rocep1s0f0";
  info.gids = {entry(0, GidType::kRoceV1, "fe80::1", true),
               entry(1, GidType::kRoceV2, "fe80::1", true),
               entry(2, GidType::kRoceV1, "10.100.0.5", true),
               entry(3, GidType::kRoceV2, "10.100.0.5", true),
               entry(4, GidType::kRoceV2, "10.100.9.9", false)};
  return info;
}

TEST(GidChoice, TakesRoceV2OfTheAddressWhereverItStands) {
  DeviceInfo info = device();
  const auto address = IpAddress::parse("10.100.0.5").value();
  EXPECT_EQ(gidForAddress(info, address).value().index, 3U);
  info.gids[3].index = 7;  // the table was rewritten
  EXPECT_EQ(gidForAddress(info, address).value().index, 7U);
}

TEST(GidChoice, NamesWhatTheDeviceHas) {
  const auto result = gidForAddress(device(), IpAddress::parse("10.1.2.3").value());
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, testing::HasSubstr("10.1.2.3"));
  EXPECT_THAT(result.error().message, testing::HasSubstr("10.100.0.5"));
  EXPECT_FALSE(result.error().remedy.empty());
}

TEST(GidChoice, LocalMeansIpv4RoceV2InThisNamespace) {
  const auto local = localIpv4Gids(device());
  ASSERT_EQ(local.size(), 1U);
  EXPECT_EQ(local[0].index, 3U);
}

}  // namespace
}  // namespace railhead::verbs

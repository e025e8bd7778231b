#include "src/base/ip.h"

#include <gtest/gtest.h>

namespace railhead {
namespace {

TEST(IpAddress, AddsAcrossBytesAndStopsAtTheEnd) {
  EXPECT_EQ(IpAddress::parse("10.100.0.250")->plus(10)->toString(), "10.100.1.4");
  EXPECT_EQ(IpAddress::parse("10.0.0.0")->plus(0x01ffffff)->toString(), "11.255.255.255");
  EXPECT_EQ(IpAddress::parse("fd00::ffff")->plus(1)->toString(), "fd00::1:0");
  EXPECT_EQ(IpAddress::parse("255.255.255.255")->plus(1).error().code, ErrorCode::kExhausted);
}

TEST(IpPrefix, ParsesAndRefuses) {
  EXPECT_EQ(IpPrefix::parse("10.100.0.5/24")->network().toString(), "10.100.0.0/24");
  EXPECT_EQ(IpPrefix::parse("fd00::5/64")->network().toString(), "fd00::/64");
  for (const char* bad :
       {"", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "fd00::/129", "10.0.0.0/2 "}) {
    EXPECT_FALSE(IpPrefix::parse(bad).has_value()) << bad;
  }
}

TEST(IpPrefix, KnowsItsRange) {
  const auto net = *IpPrefix::parse("10.100.0.0/23");
  EXPECT_TRUE(net.contains(*IpAddress::parse("10.100.1.255")));
  EXPECT_FALSE(net.contains(*IpAddress::parse("10.100.2.0")));
  EXPECT_FALSE(net.contains(*IpAddress::parse("fd00::1")));
  EXPECT_EQ(net.broadcast().toString(), "10.100.1.255");
  EXPECT_TRUE(net.overlaps(*IpPrefix::parse("10.0.0.0/8")));
  EXPECT_TRUE(IpPrefix::parse("10.0.0.0/8")->overlaps(net));
  EXPECT_FALSE(net.overlaps(*IpPrefix::parse("10.101.0.0/16")));
}

}  // namespace
}  // namespace railhead

#include "src/base/units.h"

#include <gtest/gtest.h>

namespace railhead {
namespace {

TEST(BitRate, ParsesTheUsualSpellings) {
  EXPECT_DOUBLE_EQ(BitRate::parse("40Mbit")->bitsPerSecond, 40e6);
  EXPECT_DOUBLE_EQ(BitRate::parse("2.5 Gb/s")->bitsPerSecond, 2.5e9);
  EXPECT_DOUBLE_EQ(BitRate::parse("200gbit")->gbps(), 200);
  EXPECT_DOUBLE_EQ(BitRate::parse("1000bit")->bitsPerSecond, 1000);
  for (const char* bad : {"1000", "", "fast", "10MB", "-1Gbit", "1e9Gbit", "Gbit", "1..5Gbit"}) {
    EXPECT_FALSE(BitRate::parse(bad).has_value()) << bad;
  }
}

TEST(BitRate, PrintsThreeDigits) {
  EXPECT_EQ(BitRate{200e9}.toString(), "200 Gb/s");
  EXPECT_EQ(BitRate{38.42e6}.toString(), "38.4 Mb/s");
  EXPECT_EQ(BitRate{0}.toString(), "0 b/s");
}

TEST(Format, BytesAndSeconds) {
  EXPECT_EQ(formatBytes(65536), "64 KiB");
  EXPECT_EQ(formatBytes(1), "1 B");
  EXPECT_EQ(formatNumber(0.02), "0.02");
  EXPECT_EQ(formatNumber(1e9), "1000000000");
  EXPECT_EQ(formatSeconds(3.21), "3.21 s");
  EXPECT_EQ(formatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(formatSeconds(0), "0 s");
}

}  // namespace
}  // namespace railhead

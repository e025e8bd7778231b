#include "src/bench/ceiling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

double gigabytes(const Ceiling& ceiling) { return ceiling.rate.bitsPerSecond / 8e9; }

TEST(WireCeiling, MatchesTheKnownFiguresOf200Gbit) {
  const BitRate line{200e9};
  EXPECT_NEAR(gigabytes(wireCeiling(line, 4096).value()), 24.51, 0.005);
  EXPECT_NEAR(gigabytes(wireCeiling(line, 1024).value()), 23.15, 0.005);
  EXPECT_EQ(wireCeiling(line, 4096)->explanation, "200 Gb/s line x 4096/4178 (RoCE v2 headers)");
}

TEST(WireCeiling, RefusesWhatNoPortHas) {
  for (const int mtu : {0, 255, 4097, 9000}) {
    const auto result = wireCeiling({1e9}, mtu);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, testing::HasSubstr(std::to_string(mtu)));
  }
  EXPECT_FALSE(wireCeiling({0}, 1024).has_value());
  EXPECT_FALSE(wireCeiling({-1}, 1024).has_value());
}

TEST(PcieCeiling, MatchesTheKnownFigures) {
  struct Row {
    int width;
    double gigatransfers;
    double gbps;
  };
  // Gen5 x4 is a Spark's half of the link, Gen5 x2 the ASUS fault, Gen4 x16 an H100 node's NIC.
  for (const Row& row : {Row{4, 32, 126.03}, Row{2, 32, 63.02}, Row{16, 16, 252.06},
                         Row{8, 8, 63.02}, Row{1, 2.5, 2}, Row{4, 64, 242}}) {
    const auto ceiling = pcieCeiling(row.width, row.gigatransfers);
    ASSERT_TRUE(ceiling.has_value());
    EXPECT_NEAR(ceiling->rate.gbps(), row.gbps, 0.01);
  }
  EXPECT_EQ(pcieCeiling(4, 32)->explanation, "PCIe Gen5 x4 (128b/130b, before packet headers)");
}

TEST(PcieCeiling, RefusesUnknownLinks) {
  EXPECT_FALSE(pcieCeiling(0, 32).has_value());
  EXPECT_FALSE(pcieCeiling(64, 32).has_value());
  EXPECT_FALSE(pcieCeiling(4, 33).has_value());
}

TEST(Ceilings, TheLowestCountsAndRailsAddUp) {
  const Ceiling wire = wireCeiling({200e9}, 4096).value();
  const Ceiling pcie = pcieCeiling(4, 32).value();
  EXPECT_EQ(lowest({wire, pcie}).explanation, pcie.explanation);
  const Ceiling both = together({pcie, pcie});
  EXPECT_NEAR(both.rate.gbps(), 252.06, 0.01);
  EXPECT_EQ(both.explanation, "2 x PCIe Gen5 x4 (128b/130b, before packet headers)");
  EXPECT_THAT(together({wire, pcie}).explanation, testing::HasSubstr(" + "));
  EXPECT_EQ(together({pcie}).explanation, pcie.explanation);
}

}  // namespace
}  // namespace railhead::bench

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

// The figures of two Sparks with one 200 Gb/s cable.
TEST(Ceilings, MatchTheKnownFiguresOfASparkPair) {
  const Ceiling cable = wireCeiling({200e9}, 4096).value();
  const Ceiling half = lowest({cable, pcieCeiling(4, 32).value()});
  EXPECT_NEAR(half.rate.gbps(), 126.03, 0.01) << "one twin: its PCIe link, not the cable";
  const Ceiling pair = cageCeiling(cable, {half, half});
  EXPECT_NEAR(gigabytes(pair), 24.51, 0.005) << "both twins: the cable, not twice a half";
  EXPECT_NEAR(gigabytes(cageCeiling(cable, {half})), 15.75, 0.005);
  EXPECT_NEAR(gigabytes(protocolCeiling(pair, NcclProtocol::kLl)), 12.3, 0.05);
  EXPECT_NEAR(gigabytes(protocolCeiling(pair, NcclProtocol::kLl128)), 22.98, 0.005);
  EXPECT_NEAR(gigabytes(protocolCeiling(pair, NcclProtocol::kSimple)), 24.51, 0.005);
  // The ASUS fault: x2 in the second domain.
  const Ceiling narrow = pcieCeiling(2, 32).value();
  EXPECT_NEAR(gigabytes(cageCeiling(cable, {half, narrow})), 23.63, 0.005);
}

TEST(Ceilings, ShowTheirSum) {
  const Ceiling cable = wireCeiling({200e9}, 4096).value();
  EXPECT_THAT(cable.sum,
              testing::ElementsAre("4096 bytes of payload and 82 of RoCE v2 headers in a packet",
                                   "200 Gb/s line x 4096/4178 = 196 Gb/s (24.51 GB/s)"));
  const Ceiling pcie = pcieCeiling(4, 32).value();
  EXPECT_THAT(pcie.sum,
              testing::ElementsAre("4 lanes x 32 GT/s x 128b/130b = 126 Gb/s (15.75 GB/s)"));
  const Ceiling cage = cageCeiling(cable, {pcie, pcie});
  EXPECT_EQ(cage.sum.back(), "the lower of cable and PCIe = 196 Gb/s (24.51 GB/s)");
  EXPECT_THAT(cage.sum, testing::Contains("together = 252 Gb/s (31.51 GB/s)"));
  EXPECT_THAT(protocolCeiling(cage, NcclProtocol::kLl128).sum.back(),
              testing::HasSubstr("120/128"));
}

TEST(WireCeiling, KnowsOtherHeaders) {
  const BitRate line{400e9};
  EXPECT_NEAR(wireCeiling(line, 4096, {PacketFormat::kRoceIpv6, true})->rate.gbps(),
              400 * 4096.0 / (4096 + 106), 0.01);
  const auto infiniband = wireCeiling(line, 4096, {PacketFormat::kInfiniband, false});
  EXPECT_NEAR(infiniband->rate.gbps(), 400 * 4096.0 / 4122, 0.01);
  EXPECT_THAT(infiniband->explanation, testing::HasSubstr("InfiniBand"));
}

TEST(MessageCeiling, SmallMessagesPayForTheirHeaders) {
  const BitRate line{200e9};
  const double large = messageCeiling(line, 4096, 1 << 23)->rate.gbps();
  EXPECT_NEAR(large, wireCeiling(line, 4096)->rate.gbps(), 0.01);
  // 8 bytes of payload in 106 on the wire.
  EXPECT_NEAR(messageCeiling(line, 4096, 8)->rate.gbps(), 200 * 8.0 / 106, 0.01);
  // 4097 bytes need two packets.
  EXPECT_NEAR(messageCeiling(line, 4096, 4097)->rate.gbps(), 200 * 4097.0 / (4097 + 164 + 16),
              0.01);
  EXPECT_FALSE(messageCeiling(line, 4096, 0).has_value());
  EXPECT_FALSE(messageCeiling(line, 4096, 1ULL << 40).has_value());
}

TEST(PcieCeiling, PaysForPacketHeaders) {
  // A Spark's half with 256 bytes of payload; 102 to 109 Gb/s were measured on it.
  EXPECT_NEAR(pcieCeiling(4, 32, 256)->rate.gbps(), 126.03 * 256 / 280, 0.01);
  EXPECT_THAT(pcieCeiling(4, 32, 256)->explanation, testing::HasSubstr("PCIe Gen5 x4 x 256/280"));
  EXPECT_FALSE(pcieCeiling(4, 32, 64).has_value());
  EXPECT_FALSE(pcieCeiling(0, 32, 256).has_value());
}

TEST(RdmaMtu, FollowsTheNetdev) {
  EXPECT_EQ(rdmaMtuFor(1500), 1024);
  EXPECT_EQ(rdmaMtuFor(4200), 4096);
  EXPECT_EQ(rdmaMtuFor(9000), 4096);
  EXPECT_EQ(rdmaMtuFor(4191), 2048);
  EXPECT_EQ(rdmaMtuFor(100), 0);
}

}  // namespace
}  // namespace railhead::bench

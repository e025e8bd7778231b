#include "lab/guest/guest_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::HasSubstr;

TEST(GuestConfigTest, TakesItsOwnWordsAmongTheKernels) {
  const auto config = GuestConfig::parse(
      "console=ttyS0 quiet railhead.node=spark-a "
      "railhead.pf=0000:01:00.0=enp1s0f0np0,0000:02:00.0=enP2p1s0f0np0 panic=-1\n");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_EQ(config->node, "spark-a");
  ASSERT_EQ(config->interfaces.size(), 2U);
  EXPECT_EQ(config->interfaces.at(PciAddress::parse("0000:01:00.0").value()), "enp1s0f0np0");
  EXPECT_EQ(config->interfaces.at(PciAddress::parse("0000:02:00.0").value()), "enP2p1s0f0np0");
}

TEST(GuestConfigTest, WithoutItsWordsItHasDefaults) {
  const auto config = GuestConfig::parse("console=ttyS0 root=/dev/vda");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->node, "node");
  EXPECT_TRUE(config->interfaces.empty());
  EXPECT_EQ(config->share, "");
}

TEST(GuestConfigTest, SaysWhereTheShareGoes) {
  const auto config = GuestConfig::parse("railhead.share=/run/share");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->share, "/run/share");
}

TEST(GuestConfigTest, SeveralWordsAddUp) {
  const auto config = GuestConfig::parse("railhead.pf=01:00.0=a railhead.pf=02:00.0=b");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->interfaces.size(), 2U);
}

TEST(GuestConfigTest, BadInputNamesTheWordItsValueAndWhatIsAllowed) {
  const struct {
    const char* line;
    const char* says;
  } cases[] = {
      {"railhead.node=", "railhead.node=''"},
      {"railhead.node=Spark", "railhead.node='Spark'; allowed is 1 to 63 of a-z"},
      {"railhead.node=-a", "'-a'"},
      {"railhead.node=a/../b", "'a/../b'"},
      {"railhead.pf=", "allowed is PCI=NAME"},
      {"railhead.pf=0000:01:00.0", "allowed is PCI=NAME"},
      {"railhead.pf=eth0=enp1", "a PCI address in front of '='"},
      {"railhead.pf=0000:01:00.0=", "an interface name of 1 to 15 bytes"},
      {"railhead.pf=0000:01:00.0=sixteen-bytes-xx", "an interface name of 1 to 15 bytes"},
      {"railhead.pf=0000:01:00.0=a/b", "an interface name"},
      {"railhead.pf=0000:01:00.0=..", "an interface name"},
      {"railhead.pf=01:00.0=a,01:00.0=b", "each PCI address and each name once"},
      {"railhead.pf=01:00.0=a,02:00.0=a", "each PCI address and each name once"},
      {"railhead.nodes=a", "railhead.nodes='a'; allowed is railhead.node, railhead.pf and"},
      {"railhead.share=/etc", "railhead.share='/etc'; allowed is /run/ and 1 to 32"},
      {"railhead.share=/run/../etc", "allowed is /run/"},
  };
  for (const auto& bad : cases) {
    const auto config = GuestConfig::parse(bad.line);
    ASSERT_FALSE(config.has_value()) << bad.line;
    EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(config.error().message, HasSubstr(bad.says)) << bad.line;
  }
}

}  // namespace
}  // namespace railhead::lab

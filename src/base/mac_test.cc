#include "src/base/mac.h"

#include "src/base/guid.h"

#include <gtest/gtest.h>

namespace railhead {
namespace {

TEST(Mac, ParsesPrintsAndRefuses) {
  EXPECT_EQ(Mac::parse("02:AB:cd:00:00:01")->toString(), "02:ab:cd:00:00:01");
  EXPECT_TRUE(Mac::parse("02:ab:cd:00:00:01")->isLocallyAdministered());
  EXPECT_TRUE(Mac::parse("01:00:5e:00:00:01")->isMulticast());
  EXPECT_TRUE(Mac{}.isZero());
  for (const char* bad :
       {"", "02:ab:cd:00:00", "02:ab:cd:00:00:0g", "02:ab:cd:00:00:001", "2:ab:cd:00:00:01"}) {
    EXPECT_FALSE(Mac::parse(bad).has_value()) << bad;
  }
}

TEST(Guid, ComesFromAMacAsEui64) {
  EXPECT_EQ(Guid::fromMac(*Mac::parse("02:00:5e:10:00:01")).toString(), "0000:5eff:fe10:0001");
}

TEST(Guid, ParsesBothForms) {
  EXPECT_EQ(Guid::parse("0200:5eff:fe10:0001")->value, 0x02005efffe100001ULL);
  EXPECT_EQ(Guid::parse("02:00:5e:ff:fe:10:00:01")->value, 0x02005efffe100001ULL);
  for (const char* bad : {"", "0200:5eff:fe10", "0200:5eff:fe10:00001", "0x00:5eff:fe10:0001"}) {
    EXPECT_FALSE(Guid::parse(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace railhead

#include "src/base/pci_address.h"

#include <gtest/gtest.h>

namespace railhead {
namespace {

TEST(PciAddress, ParsesAndPrints) {
  EXPECT_EQ(PciAddress::parse("0002:01:00.1")->toString(), "0002:01:00.1");
  EXPECT_EQ(PciAddress::parse("01:1F.7")->toString(), "0000:01:1f.7");
  EXPECT_EQ(PciAddress::parse("10000:e1:00.0")->toString(), "10000:e1:00.0");
}

TEST(PciAddress, RefusesWhatIsNotOne) {
  for (const char* bad :
       {"", "1", "01:00", "01:20.0", "01:00.8", "g0:00.0", "0000:01:00.0x", "0000:0x:00.0",
        "0000:01:00.0 ", "123456789:01:00.0", ":01:00.0", "0000:01:00."}) {
    const auto result = PciAddress::parse(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(result.error().message.find("0000:01:00.0"), std::string::npos);
  }
}

TEST(PciAddress, OrdersByDomainFirst) {
  EXPECT_LT(*PciAddress::parse("0000:ff:00.0"), *PciAddress::parse("0002:01:00.0"));
}

}  // namespace
}  // namespace railhead

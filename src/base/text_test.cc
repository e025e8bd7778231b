#include "src/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead {
namespace {

TEST(Text, SplitsTrimsAndJoins) {
  EXPECT_THAT(split("a,,b", ','), testing::ElementsAre("a", "", "b"));
  EXPECT_THAT(split("", ','), testing::ElementsAre(""));
  EXPECT_EQ(trim(" \ta b\n"), "a b");
  EXPECT_EQ(join({"a", "", "b"}, "-"), "a--b");
  EXPECT_EQ(join({}, "-"), "");
}

TEST(Text, ParsesWholeNumbersOnly) {
  EXPECT_EQ(parseUnsigned("18446744073709551615"), 18446744073709551615ULL);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1x", "18446744073709551616"}) {
    EXPECT_EQ(parseUnsigned(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(parseHex("0x1F"), 31U);
  EXPECT_EQ(parseHex("x"), std::nullopt);
  EXPECT_EQ(parseDouble("1.5"), 1.5);
  EXPECT_EQ(parseDouble("nan"), std::nullopt);
}

TEST(Text, QuotesUntrustedInputWithinBounds) {
  EXPECT_EQ(inQuotes("a\nb"), "'a\\x0ab'");
  EXPECT_EQ(inQuotes("abcdef", 3), "'abc…'");
}

}  // namespace
}  // namespace railhead

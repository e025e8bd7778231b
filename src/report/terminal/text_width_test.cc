#include "src/report/terminal/text_width.h"

#include <gtest/gtest.h>

namespace railhead::report {
namespace {

TEST(TextWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(displayWidth(""), 0U);
  EXPECT_EQ(displayWidth("node-a"), 6U);
  EXPECT_EQ(displayWidth("1.62 µs …"), 9U);
  EXPECT_EQ(displayWidth("e\u0301"), 1U);  // e and a combining accent
  EXPECT_EQ(displayWidth("東京"), 4U);     // two wide characters
  EXPECT_EQ(displayWidth("🚆"), 2U);
  EXPECT_EQ(displayWidth("a\xff\xc3"), 3U);  // broken bytes take a column each
}

TEST(TextWidth, CutsAtACharacterAndMarksTheCut) {
  EXPECT_EQ(cutToWidth("node-a", 6), "node-a");
  EXPECT_EQ(cutToWidth("node-a", 5), "node…");
  EXPECT_EQ(cutToWidth("東京都", 4), "東…");  // a half of a wide character is never shown
  EXPECT_EQ(cutToWidth("node-a", 1), "…");
  EXPECT_EQ(cutToWidth("node-a", 0), "");
}

TEST(TextWidth, PadsByColumns) {
  EXPECT_EQ(padTo("µs", 4), "µs  ");
  EXPECT_EQ(padTo("東", 4, Align::kRight), "  東");
  EXPECT_EQ(padTo("longer", 3), "longer");
}

TEST(Printable, TakesAwayWhatCouldCommandTheTerminal) {
  EXPECT_EQ(printable("\x1b[31mred\x1b[0m"), "red");
  EXPECT_EQ(printable("\x1b]0;owned\a title"), " title");
  EXPECT_EQ(printable("\x1b]8;;http://x\x1b\\link"), "link");
  EXPECT_EQ(printable("\x1b[2J\x1b[H"), "");
  EXPECT_EQ(printable("cut off \x1b[31"), "cut off ");
  EXPECT_EQ(printable("cut off \x1b]0;"), "cut off ");
  EXPECT_EQ(printable("end\x1b"), "end");
  EXPECT_EQ(printable("a\tb\nc\rd\x7f"), "a b c d ");
  EXPECT_EQ(printable("\u009b31m"), " 31m");        // C1 control sequence introducer
  EXPECT_EQ(printable("nod\u202ee-a"), "nod e-a");  // right-to-left override
  EXPECT_EQ(printable("tail \xe2\x82"), "tail \xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(printable("\xc0\xaf\xed\xa0\x80"),  // overlong, then a surrogate
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(printable("1.93 × – ✓ 東京"), "1.93 × – ✓ 東京");
}

}  // namespace
}  // namespace railhead::report

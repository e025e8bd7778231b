#include "src/report/terminal/live_line.h"

#include <sstream>

#include <gtest/gtest.h>

namespace railhead::report {
namespace {

TerminalStyle terminalOf(std::size_t columns) {
  TerminalStyle style;
  style.terminal = true;
  style.columns = columns;
  return style;
}

TEST(LiveLine, IsWrittenOverAndStaysAtTheEnd) {
  std::ostringstream out;
  {
    LiveLine line(out, terminalOf(80));
    line.show("one");
    line.show("two");
  }
  EXPECT_EQ(out.str(), "\r\x1b[Kone\r\x1b[Ktwo\n");
}

TEST(LiveLine, NeverWraps) {
  std::ostringstream out;
  LiveLine line(out, terminalOf(20));
  line.show("a line of more than twenty columns");
  EXPECT_EQ(out.str(), "\r\x1b[Ka line of more tha…");
}

TEST(LiveLine, IsGoneBeforeOtherWords) {
  std::ostringstream out;
  LiveLine line(out, terminalOf(80));
  line.show("one");
  line.clear();
  line.clear();
  EXPECT_EQ(out.str(), "\r\x1b[Kone\r\x1b[K");
}

TEST(LiveLine, WritesNothingWhereItCannotRedraw) {
  std::ostringstream out;
  {
    LiveLine line(out, TerminalStyle{});
    line.show("one");
  }
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace railhead::report

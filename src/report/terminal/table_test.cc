#include "src/report/terminal/table.h"

#include <sstream>

#include <gtest/gtest.h>

namespace railhead::report {
namespace {

std::string shown(const Table& table, const TerminalStyle& style) {
  std::ostringstream out;
  table.print(out, style);
  return out.str();
}

TEST(Table, AlignsColumnsByWhatIsSeen) {
  Table table({{"name"}, {"VFs", Align::kRight}, {"note"}});
  table.addRow({"node-a", "8", "ready"});
  table.addRow({"東京", "128", ""});
  EXPECT_EQ(shown(table, {}),
            "  name    VFs  note\n"
            "  node-a    8  ready\n"
            "  東京    128\n");
}

TEST(Table, SaysNothingWithoutRows) { EXPECT_EQ(shown(Table({{"name"}}), {}), ""); }

TEST(Table, TakesRowsOfAnyLengthAndCellsOfAnyContent) {
  Table table({{"a"}, {"b"}});
  table.addRow({"1"});
  table.addRow({"\x1b[31mred", "two\nlines", "extra"});
  EXPECT_EQ(shown(table, {}), "  a    b\n  1\n  red  two lines\n");
}

TEST(Table, FitsATerminalWithoutLeavingAnythingOut) {
  Table table({{"name"}, {"VFs", Align::kRight}, {"note"}});
  table.addRow({"a name", "8", "ready"});
  EXPECT_EQ(shown(table, {.terminal = true, .columns = 14}),
            "  name    VFs\n      note\n"
            "  a name    8\n      ready\n");
  EXPECT_EQ(shown(table, {.terminal = true, .columns = 20}),
            "  name    VFs  note\n  a name    8  ready\n");
  EXPECT_EQ(shown(table, {.terminal = false, .columns = 14}),
            "  name    VFs  note\n  a name    8  ready\n");
}

TEST(Table, BreaksACellThatIsWiderThanTheTerminal) {
  Table table({{"note"}});
  table.addRow({"one two three averyverylongword four"});
  EXPECT_EQ(shown(table, {.terminal = true, .columns = 12}),
            "  note\n  one two\n    three\n    averyverylongword\n    four\n");
}

TEST(Table, KeepsTitlesQuietInColour) {
  Table table({{"name"}});
  table.addRow({"x"});
  EXPECT_EQ(shown(table, {.colour = true}), "  \x1b[2mname\x1b[0m\n  x\n");
}

}  // namespace
}  // namespace railhead::report

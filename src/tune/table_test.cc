#include "src/tune/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;

const std::string kHash(64, 'a');
const std::string kHead = "railhead-tuner 1\nhash " + kHash + "\n";

TEST(Table, TextToTheLetter) {
  const std::string text = kHead +
                           "allgather 2 2 0 65535 pat simple 0\n"
                           "allreduce 2 1 0 65535 tree ll 0\n"
                           "allreduce 2 1 65536 18446744073709551615 ring simple 4\n";
  const auto table = parseTable(text, "t");
  ASSERT_TRUE(table.has_value()) << table.error().describe();
  EXPECT_EQ(table->hash, kHash);
  ASSERT_EQ(table->rows.size(), 3U);
  EXPECT_EQ(table->rows[2].minBytes, 65536U);
  EXPECT_EQ(table->rows[2].channels, 4U);
  EXPECT_EQ(*writeTable(*table), text);
  EXPECT_EQ(*writeTable(*parseTable(kHead, "t")), kHead);
}

TEST(Table, EveryOtherTextIsRefusedWithItsLine) {
  const auto message = [](const std::string& rows) {
    const auto table = parseTable(kHead + rows, "t");
    return table.has_value() ? std::string("taken") : table.error().message;
  };
  EXPECT_THAT(message("alltoall 2 1 0 1 ring ll 0\n"), HasSubstr("t:3: collective is 'alltoall'"));
  EXPECT_THAT(message("allreduce 2 1 0 1 ring fast 0\n"), HasSubstr("allowed: ll, ll128, simple"));
  EXPECT_THAT(message("allreduce 2 1 0 1 Ring ll 0\n"), HasSubstr("algorithm is 'Ring'"));
  EXPECT_THAT(message("allreduce 2 3 0 1 ring ll 0\n"), HasSubstr("nodes is '3'"));
  EXPECT_THAT(message("allreduce 2 1 5 4 ring ll 0\n"), HasSubstr("max_bytes is '4'"));
  EXPECT_THAT(message("allreduce 2 1 0 1 ring ll 65\n"), HasSubstr("channels is '65'"));
  EXPECT_THAT(message("allreduce 1 1 0 1 ring ll 0\n"), HasSubstr("from 2 to 1000000"));
  EXPECT_THAT(message("allreduce 1000001 1 0 1 ring ll 0\n"), HasSubstr("from 2 to 1000000"));
  for (const char* other : {"collnetdirect", "collnetchain", "nvls", "nvlstree", "pat"}) {
    const std::string start = "allreduce 2 1 0 1 " + std::string(other) + " simple ";
    EXPECT_THAT(message(start + "1\n"),
                HasSubstr("channels is '1'; allowed: a whole number from 0"))
        << other;
    EXPECT_EQ(message(start + "0\n"), "taken");
  }
  EXPECT_THAT(message("allreduce 02 1 0 1 ring ll 0\n"), HasSubstr("ranks is '02'"));
  EXPECT_THAT(message("allreduce 2 1 0 18446744073709551616 ring ll 0\n"), HasSubstr("max_bytes"));
  EXPECT_THAT(message("allreduce 2 1 0 1 ring ll\n"), HasSubstr("row is"));
  EXPECT_THAT(message("allreduce 2  1 0 1 ring ll 0\n"), HasSubstr("row is"));
  EXPECT_THAT(message("allreduce 2 1 0 1 ring ll 0"), HasSubstr("does not end"));
  EXPECT_THAT(message("\n"), HasSubstr("row is ''"));
  EXPECT_THAT(message("allreduce 2 1 0 9 ring ll 0\nallreduce 2 1 9 20 ring ll 0\n"),
              HasSubstr("row 2"));
  EXPECT_THAT(message("allreduce 2 1 0 9 ring ll 0\nallgather 2 1 0 20 ring ll 0\n"),
              HasSubstr("not sorted"));
  EXPECT_EQ(message("allgather 2 1 0 9 ring ll 0\nallreduce 2 1 0 9 ring ll 0\n"), "taken");
}

TEST(Table, HeadAndBoundsAreChecked) {
  EXPECT_FALSE(parseTable("", "t").has_value());
  EXPECT_FALSE(parseTable("\n", "t").has_value());
  EXPECT_FALSE(parseTable("railhead-tuner 2\nhash " + kHash + "\n", "t").has_value());
  EXPECT_FALSE(
      parseTable("railhead-tuner 1\nhash " + std::string(64, 'A') + "\n", "t").has_value());
  EXPECT_FALSE(parseTable("railhead-tuner 1\n", "t").has_value());
  EXPECT_FALSE(parseTable(std::string(1 << 20, '\n'), "t").has_value());

  Table table{kHash, {}};
  for (std::uint64_t i = 0; i < kMaxTableRows; ++i) {
    table.rows.push_back({"reduce", 2, 1, i, i, "ring", "ll", 0});
  }
  const auto full = writeTable(table);
  ASSERT_TRUE(full.has_value()) << full.error().describe();
  EXPECT_EQ(*parseTable(*full, "t"), table);
  table.rows.push_back({"reduce", 2, 1, 9999, 9999, "ring", "ll", 0});
  EXPECT_FALSE(writeTable(table).has_value());
  EXPECT_THAT(parseTable(*full + "reduce 2 1 9999 9999 ring ll 0\n", "t").error().message,
              HasSubstr("number of lines is '4097'"));
  EXPECT_FALSE(writeTable({"short", {}}).has_value());
}

}  // namespace
}  // namespace railhead::tune

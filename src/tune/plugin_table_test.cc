// The table file has two parsers, one here and one in the plugin, which uses none of our libraries:
// both must read the same.
#include "plugins/nccl-tuner/table.h"
#include "src/base/random.h"
#include "src/tune/table.h"

#include <algorithm>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

class PluginTable : public testing::Test {
 protected:
  bool read(const std::string& text) { return plugin_->parse(text, why_); }

  // What the plugin chooses, in the words of a row.
  std::string chosen(const TableRow& row, std::uint64_t bytes) const {
    const auto* shape = plugin_->find(row.ranks, row.nodes);
    const auto collective =
        std::find(kCollectives.begin(), kCollectives.end(), row.collective) - kCollectives.begin();
    const auto* choice =
        shape == nullptr ? nullptr : plugin_->choose(*shape, static_cast<int>(collective), bytes);
    if (choice == nullptr) return "none";
    return std::string(kAlgorithms.at(choice->algorithm)) + ' ' +
           std::string(kProtocols.at(choice->protocol)) + ' ' + std::to_string(choice->channels);
  }

  static std::string choiceOf(const TableRow& row) {
    return row.algorithm + ' ' + row.protocol + ' ' + std::to_string(row.channels);
  }

  std::unique_ptr<nccl_tuner::Table> plugin_ = std::make_unique<nccl_tuner::Table>();
  nccl_tuner::Remark why_;
};

TableRow randomChoice(SplitMix& random) {
  TableRow row;
  row.algorithm = kAlgorithms.at(random.next() % kAlgorithms.size());
  row.protocol = kProtocols.at(random.next() % kProtocols.size());
  if (takesChannels(row.algorithm)) row.channels = random.next() % (kMaxTableChannels + 1);
  return row;
}

// Rows in order, with a gap of one size or more between those of one shape.
std::vector<TableRow> randomRows(SplitMix& random) {
  std::vector<TableRow> rows;
  for (const std::string_view collective : kCollectives) {
    for (const std::uint64_t ranks : {kMinTableRanks, std::uint64_t{8}, kMaxTableRanks}) {
      for (const std::uint64_t nodes : {std::uint64_t{1}, ranks}) {
        std::uint64_t at = random.next() % 3;
        for (auto left = random.next() % 6; left > 0; --left) {
          TableRow row = randomChoice(random);
          row.collective = collective;
          row.ranks = ranks;
          row.nodes = nodes;
          row.minBytes = at;
          row.maxBytes = at + (random.next() >> (random.next() % 50 + 8));
          at = row.maxBytes + 2;
          rows.push_back(std::move(row));
        }
      }
    }
  }
  return rows;
}

TEST_F(PluginTable, HasTheRowsThatWereWritten) {
  SplitMix random(3);
  std::size_t compared = 0;
  for (int round = 0; round < 50; ++round) {
    const Table table{std::string(64, "0123456789abcdef"[round % 16]), randomRows(random)};
    const auto text = writeTable(table);
    ASSERT_TRUE(text.has_value()) << text.error().describe();
    ASSERT_TRUE(read(*text)) << why_.text;
    EXPECT_EQ(plugin_->identity().hash, table.hash);
    ASSERT_EQ(plugin_->lines(), table.rows.size());
    for (const TableRow& row : table.rows) {
      ASSERT_EQ(chosen(row, row.minBytes), choiceOf(row)) << rowText(row);
      ASSERT_EQ(chosen(row, row.maxBytes), choiceOf(row)) << rowText(row);
      ASSERT_EQ(chosen(row, row.maxBytes + 1), "none") << rowText(row);
      ++compared;
    }
  }
  EXPECT_GT(compared, 2000U);
}

TEST_F(PluginTable, IsRefusedWhereOursIs) {
  const std::string head = "railhead-tuner 1\nhash " + std::string(64, 'a') + "\n";
  const auto both = [&](const std::string& row) {
    const bool ours = parseTable(head + row + "\n", "t").has_value();
    EXPECT_EQ(read(head + row + "\n"), ours) << row << ": " << why_.text;
    return ours;
  };
  for (const char* ranks : {"2", "1000000"}) {
    EXPECT_TRUE(both("reduce " + std::string(ranks) + " 1 0 9 ring ll 64"));
  }
  for (const char* ranks : {"0", "1", "1000001", "1048576", "02"}) {
    EXPECT_FALSE(both("reduce " + std::string(ranks) + " 1 0 9 ring ll 64"));
  }
  for (const std::string_view algorithm : kAlgorithms) {
    const std::string row = "allgather 2 1 0 9 " + std::string(algorithm) + " simple ";
    EXPECT_TRUE(both(row + "0"));
    EXPECT_EQ(both(row + "1"), takesChannels(algorithm)) << algorithm;
    EXPECT_FALSE(both(row + "65"));
  }
}

TEST_F(PluginTable, IsReadWhenItIsFull) {
  Table table{std::string(64, 'f'), {}};
  for (std::uint64_t i = 0; i < kMaxTableRows; ++i) {
    table.rows.push_back({"reducescatter", kMaxTableRanks, kMaxTableRanks, ~0ULL - 9999 + 2 * i,
                          ~0ULL - 9998 + 2 * i, "collnetdirect", "simple", 0});
  }
  const auto text = writeTable(table);
  ASSERT_TRUE(text.has_value()) << text.error().describe();
  ASSERT_TRUE(read(*text)) << why_.text;
  EXPECT_EQ(plugin_->lines(), kMaxTableRows);
}

}  // namespace
}  // namespace railhead::tune

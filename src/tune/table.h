// The text of the table file that the tuner plugin reads (plugins/nccl-tuner has a parser of its
// own, without our libraries; the format is kept to the letter):
//
//   railhead-tuner 1
//   hash <64 lower-case hexadecimal digits>
//   allreduce 2 1 0 65535 tree ll 0
//   allreduce 2 1 65536 18446744073709551615 ring simple 0
//
// COLLECTIVE RANKS NODES MIN_BYTES MAX_BYTES ALGORITHM PROTOCOL CHANNELS, one space between, every
// line ended. Rows are sorted by collective (in the order of kCollectives), ranks, nodes and bytes,
// and do not overlap. Channels 0 leaves their number to NCCL. Pure functions.
#pragma once

#include "src/base/result.h"

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

inline constexpr std::array<std::string_view, 5> kCollectives{"broadcast", "reduce", "allgather",
                                                              "reducescatter", "allreduce"};
inline constexpr std::array<std::string_view, 7> kAlgorithms{
    "tree", "ring", "collnetdirect", "collnetchain", "nvls", "nvlstree", "pat"};
inline constexpr std::array<std::string_view, 3> kProtocols{"ll", "ll128", "simple"};

inline constexpr std::size_t kMaxTableLines = 4096;
inline constexpr std::size_t kMaxTableRows = kMaxTableLines - 2;
inline constexpr std::uint64_t kMinTableRanks = 2;  // one rank has nothing to choose
inline constexpr std::uint64_t kMaxTableRanks = 1'000'000;
inline constexpr std::uint64_t kMaxTableChannels = 64;

// Whether a row may name a number of channels. NCCL bounds it by what the communicator has for tree
// and ring; for collnet it takes the number as given, and one too large reaches channels that are
// not there. The others have channels of their own count, and are left alone as well.
bool takesChannels(std::string_view algorithm);

struct TableRow {
  std::string collective;
  std::uint64_t ranks = 0;  // from kMinTableRanks to kMaxTableRanks
  std::uint64_t nodes = 0;  // at most ranks
  std::uint64_t minBytes = 0;
  std::uint64_t maxBytes = 0;  // inclusive
  std::string algorithm;
  std::string protocol;
  std::uint64_t channels = 0;  // at most kMaxTableChannels; 0 unless takesChannels()

  bool operator==(const TableRow&) const = default;
};

struct Table {
  std::string hash;  // of the profile it belongs to
  std::vector<TableRow> rows;

  bool operator==(const Table&) const = default;
};

std::string rowText(const TableRow& row);
// kInvalidArgument says which word is wrong and what is allowed.
Result<TableRow> parseRow(std::string_view text);
// Sorted, no overlap, each row within bounds, not too many. kInvalidArgument names the row.
Result<void> checkRows(const std::vector<TableRow>& rows);

bool isSha256(std::string_view text);

// The table must hold checkRows() and have a hash: kInvalidArgument otherwise.
Result<std::string> writeTable(const Table& table);
// Exactly what writeTable() gives; kInvalidArgument names `source` and the line.
Result<Table> parseTable(std::string_view text, const std::string& source);

}  // namespace railhead::tune

#include "src/tune/table.h"

#include "src/base/text.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace railhead::tune {
namespace {

constexpr std::string_view kTableHead = "railhead-tuner 1";
constexpr std::string_view kTableHash = "hash ";
constexpr std::size_t kMaxRowText = 160;

Error badWord(std::string_view what, std::string_view value, const std::string& allowed) {
  return {ErrorCode::kInvalidArgument,
          std::string(what) + " is " + inQuotes(value) + "; allowed: " + allowed};
}

template <std::size_t count>
Result<std::string> wordOf(std::string_view what, std::string_view value,
                           const std::array<std::string_view, count>& words) {
  if (std::find(words.begin(), words.end(), value) != words.end()) return std::string(value);
  return badWord(what, value, join(std::vector<std::string>(words.begin(), words.end()), ", "));
}

// Plain digits, none too many: one number has one text.
Result<std::uint64_t> numberIn(std::string_view what, std::string_view value, std::uint64_t least,
                               std::uint64_t most) {
  const auto number = parseUnsigned(value);
  if (number && *number >= least && *number <= most && std::to_string(*number) == value) {
    return *number;
  }
  return badWord(what, value,
                 "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
}

auto placeOf(const TableRow& row) {
  const auto order = std::find(kCollectives.begin(), kCollectives.end(), row.collective);
  return std::tuple(order - kCollectives.begin(), row.ranks, row.nodes);
}

}  // namespace

bool takesChannels(std::string_view algorithm) {
  return algorithm == "tree" || algorithm == "ring";
}

std::string rowText(const TableRow& row) {
  return row.collective + ' ' + std::to_string(row.ranks) + ' ' + std::to_string(row.nodes) + ' ' +
         std::to_string(row.minBytes) + ' ' + std::to_string(row.maxBytes) + ' ' + row.algorithm +
         ' ' + row.protocol + ' ' + std::to_string(row.channels);
}

Result<TableRow> parseRow(std::string_view text) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  const auto words = split(text.substr(0, kMaxRowText + 1), ' ');
  if (text.size() > kMaxRowText || words.size() != 8) {
    return badWord("row", text,
                   "COLLECTIVE RANKS NODES MIN_BYTES MAX_BYTES ALGORITHM PROTOCOL CHANNELS");
  }
  TableRow row;
  RAILHEAD_TRY_ASSIGN(row.collective, wordOf("collective", words[0], kCollectives));
  RAILHEAD_TRY_ASSIGN(row.ranks, numberIn("ranks", words[1], kMinTableRanks, kMaxTableRanks));
  RAILHEAD_TRY_ASSIGN(row.nodes, numberIn("nodes", words[2], 1, row.ranks));
  RAILHEAD_TRY_ASSIGN(row.minBytes, numberIn("min_bytes", words[3], 0, kMost));
  RAILHEAD_TRY_ASSIGN(row.maxBytes, numberIn("max_bytes", words[4], row.minBytes, kMost));
  RAILHEAD_TRY_ASSIGN(row.algorithm, wordOf("algorithm", words[5], kAlgorithms));
  RAILHEAD_TRY_ASSIGN(row.protocol, wordOf("protocol", words[6], kProtocols));
  RAILHEAD_TRY_ASSIGN(row.channels, numberIn("channels", words[7], 0,
                                             takesChannels(row.algorithm) ? kMaxTableChannels : 0));
  return row;
}

Result<void> checkRows(const std::vector<TableRow>& rows) {
  if (rows.size() > kMaxTableRows) {
    return badWord("number of rows", std::to_string(rows.size()),
                   "at most " + std::to_string(kMaxTableRows));
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string where = "row " + std::to_string(i + 1);
    RAILHEAD_TRY(parseRow(rowText(rows[i])).addContext(where));
    if (i == 0) continue;
    const TableRow& before = rows[i - 1];
    if (placeOf(before) < placeOf(rows[i])) continue;
    if (placeOf(before) == placeOf(rows[i]) && before.maxBytes < rows[i].minBytes) continue;
    return Error(ErrorCode::kInvalidArgument,
                 where + ": " + inQuotes(rowText(rows[i])) +
                     " overlaps the row before, or is not sorted after it");
  }
  return {};
}

bool isSha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<std::string> writeTable(const Table& table) {
  if (!isSha256(table.hash)) return badWord("hash", table.hash, "64 lower-case hexadecimal digits");
  RAILHEAD_TRY(checkRows(table.rows));
  std::string out = std::string(kTableHead) + "\n" + std::string(kTableHash) + table.hash + "\n";
  for (const TableRow& row : table.rows) out += rowText(row) + "\n";
  return out;
}

Result<Table> parseTable(std::string_view text, const std::string& source) {
  const auto at = [&](std::size_t line) { return source + ":" + std::to_string(line); };
  if (text.size() > kMaxTableLines * kMaxRowText) {
    return badWord("size", std::to_string(text.size()) + " bytes",
                   "at most " + std::to_string(kMaxTableLines * kMaxRowText))
        .addContext(source);
  }
  auto lines = split(text, '\n');
  if (!lines.back().empty()) {
    return Error(ErrorCode::kInvalidArgument, at(lines.size()) + ": the last line does not end");
  }
  lines.pop_back();
  if (lines.empty() || lines[0] != kTableHead) {
    return badWord("first line", lines.empty() ? "" : lines[0], std::string(kTableHead))
        .addContext(at(1));
  }
  Table table;
  if (lines.size() > 1 && lines[1].starts_with(kTableHash)) {
    table.hash = lines[1].substr(kTableHash.size());
  }
  if (!isSha256(table.hash)) {
    return badWord("second line", lines.size() > 1 ? lines[1] : "",
                   "hash and 64 lower-case hexadecimal digits")
        .addContext(at(2));
  }
  if (lines.size() > kMaxTableLines) {
    return badWord("number of lines", std::to_string(lines.size()),
                   "at most " + std::to_string(kMaxTableLines))
        .addContext(source);
  }
  for (std::size_t i = 2; i < lines.size(); ++i) {
    auto row = parseRow(lines[i]);
    if (!row.has_value()) return std::move(row).error().addContext(at(i + 1));
    table.rows.push_back(std::move(*row));
  }
  RAILHEAD_TRY(checkRows(table.rows).addContext(source));
  return table;
}

}  // namespace railhead::tune

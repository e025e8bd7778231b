#include "src/report/terminal/table.h"

#include "src/base/text.h"

#include <algorithm>
#include <limits>
#include <ostream>

namespace railhead::report {
namespace {

constexpr std::size_t kBelow = 4;  // spaces before what stands below

// Broken at spaces where it is wider than the room; a word that is wider stays whole.
void addWrapped(std::string line, std::size_t room, std::vector<std::string>& lines) {
  if (displayWidth(line) <= room) return lines.push_back(std::move(line));
  const std::size_t indent = line.find_first_not_of(' ');
  std::string current(indent, ' ');
  bool empty = true;
  for (const auto word : split(line, ' ')) {
    if (word.empty()) continue;
    if (!empty && displayWidth(current) + 1 + displayWidth(word) > room) {
      lines.push_back(std::move(current));
      current.assign(indent + 2, ' ');
      empty = true;
    }
    if (!empty) current += ' ';
    current += word;
    empty = false;
  }
  lines.push_back(std::move(current));
}

}  // namespace

void Table::addRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (auto& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = displayWidth(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, displayWidth(row[i]));
    widths.push_back(widest);
  }
  return widths;
}

std::vector<std::string> Table::linesOf(const std::vector<std::string>& cells,
                                        const std::vector<std::size_t>& widths,
                                        std::size_t room) const {
  std::vector<std::string> lines(1);
  std::size_t used = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (used > 0 && used + 2 + widths[i] > room) {
      lines.emplace_back(kBelow, ' ');
      used = kBelow;
    } else if (used > 0) {
      lines.back() += "  ";
      used += 2;
    }
    lines.back() += padTo(cells[i], widths[i], columns_[i].align);
    used += widths[i];
  }
  std::vector<std::string> fitting;
  for (auto& line : lines) {
    line.erase(line.find_last_not_of(' ') + 1);
    if (!line.empty()) addWrapped(std::move(line), room, fitting);
  }
  return fitting;
}

void Table::print(std::ostream& out, const TerminalStyle& style, std::size_t indent) const {
  if (rows_.empty()) return;
  const auto columnWidths = widths();
  const std::string margin(indent, ' ');
  const std::size_t room = !style.terminal          ? std::numeric_limits<std::size_t>::max()
                           : style.columns > indent ? style.columns - indent
                                                    : 0;
  std::vector<std::string> titles;
  titles.reserve(columns_.size());
  for (const auto& column : columns_) titles.push_back(column.title);
  for (const auto& line : linesOf(titles, columnWidths, room))
    out << margin << style.paint(Ink::kQuiet, line) << '\n';
  for (const auto& row : rows_) {
    for (const auto& line : linesOf(row, columnWidths, room)) out << margin << line << '\n';
  }
}

}  // namespace railhead::report

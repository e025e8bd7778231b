#include "src/report/terminal/table.h"

#include <algorithm>
#include <ostream>

namespace railhead::report {

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

std::string Table::lineOf(const std::vector<std::string>& cells,
                          const std::vector<std::size_t>& widths) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += "  ";
    line += padTo(cells[i], widths[i], columns_[i].align);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

void Table::print(std::ostream& out, const TerminalStyle& style, std::size_t indent) const {
  if (rows_.empty()) return;
  const auto columnWidths = widths();
  const std::string margin(indent, ' ');
  const auto fitted = [&](const std::string& line) {
    if (!style.terminal) return line;
    return cutToWidth(line, style.columns > indent ? style.columns - indent : 0);
  };
  std::vector<std::string> titles;
  titles.reserve(columns_.size());
  for (const auto& column : columns_) titles.push_back(column.title);
  out << margin << style.paint(Ink::kQuiet, fitted(lineOf(titles, columnWidths))) << '\n';
  for (const auto& row : rows_) out << margin << fitted(lineOf(row, columnWidths)) << '\n';
}

}  // namespace railhead::report

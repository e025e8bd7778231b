// Aligned columns for people. Thread-compatible.
#pragma once

#include "src/report/terminal/style.h"
#include "src/report/terminal/text_width.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace railhead::report {

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Cells are made printable. Missing cells are empty; cells without a column are dropped.
  void addRow(std::vector<std::string> cells);
  // A quiet line of titles, then the rows, each after `indent` spaces. Columns that a terminal has
  // no room for stand in lines of their own below the others, titles like rows: nothing is left
  // out. Nothing at all without rows.
  void print(std::ostream& out, const TerminalStyle& style, std::size_t indent = 2) const;

 private:
  std::vector<std::size_t> widths() const;
  std::vector<std::string> linesOf(const std::vector<std::string>& cells,
                                   const std::vector<std::size_t>& widths, std::size_t room) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace railhead::report

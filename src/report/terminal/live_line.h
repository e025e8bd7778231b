// One line of progress that is written over: "trial 12 of 40, best so far +8.1 %".
#pragma once

#include "src/report/terminal/style.h"

#include <iosfwd>
#include <string_view>

namespace railhead::report {

// Not thread-safe. Without a terminal that can redraw it writes nothing. What else goes to the
// stream while a line stands comes after clear() or keep().
class LiveLine {
 public:
  LiveLine(std::ostream& out, TerminalStyle style) : out_(out), style_(style) {}
  ~LiveLine() { keep(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  void show(std::string_view text);  // cut to the terminal's width: a wrapped line would stay
  void clear();                      // the cursor is where the line began
  void keep();                       // the line stays, the cursor is below it

 private:
  std::ostream& out_;
  const TerminalStyle style_;
  bool shown_ = false;
};

}  // namespace railhead::report

// Progress of a run, step by step, in the user's words:
//   ▸ Boot two nodes … 7 s                              while it works (redrawn on a terminal only)
//   ✓ Boot two nodes                            12.3 s  node-a and node-b answer
//   ✗ Boot two nodes                            20.0 s
//     cause       node-b did not answer within 20 s
//     node-b says [    3.912] igb: Unknown symbol …
//     what to do  …
#pragma once

#include "src/base/error.h"
#include "src/os/clock.h"
#include "src/report/model/report.h"
#include "src/report/terminal/style.h"

#include <chrono>
#include <condition_variable>
#include <iosfwd>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace railhead::report {

struct StepFailure {
  Error error;                    // cause and remedy
  std::string logNode;            // whose log the lines are from; empty without one
  std::vector<std::string> logs;  // the newest last; the last kLogLines are shown
};

// Thread-safe. All text is made printable first. One step runs at a time: begin() while one runs,
// and ending a step when none does, are programming errors and abort.
class StepPrinter {
 public:
  static constexpr std::size_t kLogLines = 12;

  // Both outlive the printer.
  StepPrinter(std::ostream& out, TerminalStyle style, os::Clock& clock);
  ~StepPrinter();  // leaves the cursor at the start of a line
  StepPrinter(const StepPrinter&) = delete;
  StepPrinter& operator=(const StepPrinter&) = delete;

  void begin(std::string_view name);
  // Shows the time gone by; does nothing when no step runs or the output is no terminal.
  void tick();
  // A line that stays, above the running step.
  void note(std::string_view line);
  Step succeed(std::string_view detail = {});
  Step fail(const StepFailure& failure);

  bool redraws() const { return style_.terminal; }

 private:
  struct Running {
    std::string name;
    os::Clock::TimePoint since;
  };

  Step end(bool ok, std::string_view detail);  // with mutex_ held
  void drawRunning();                          // with mutex_ held
  void clearLine();                            // with mutex_ held
  double elapsed() const;                      // with mutex_ held; seconds
  void printFailure(const StepFailure& failure);

  std::mutex mutex_;
  std::ostream& out_;
  const TerminalStyle style_;
  os::Clock& clock_;
  std::optional<Running> running_;
};

// Calls tick() from a thread of its own until destroyed; starts none when there is nothing to
// redraw. The printer outlives it.
class StepTicker {
 public:
  explicit StepTicker(StepPrinter& printer,
                      std::chrono::milliseconds interval = std::chrono::milliseconds(250));
  ~StepTicker();
  StepTicker(const StepTicker&) = delete;
  StepTicker& operator=(const StepTicker&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace railhead::report

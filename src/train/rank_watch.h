// What one rank has told so far, and whether it still gets on. Reads the rank's metrics file as it
// grows. Thread-compatible.
#pragma once

#include "src/base/result.h"
#include "src/os/clock.h"
#include "src/os/unique_fd.h"
#include "src/train/metrics.h"
#include "src/train/run_file.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::train {

class RankWatch {
 public:
  // `series`: what the file holds now.
  RankWatch(int rank, std::string metricsFile, StepSeries series);

  // Before each start: what was done after `step` does not count. Writes it into the file, too.
  Result<void> beginAttempt(std::uint64_t attempt, std::uint64_t step, os::Clock::TimePoint now);
  // The ranks are made: its time to start begins.
  void beginTime(os::Clock::TimePoint now) { lastProgress_ = now; }
  // New lines of the file; those that are not ours are passed over.
  std::vector<MetricsLine> takeNew(os::Clock::TimePoint now);
  // A line of the rank's output. Metrics printed there are added to the file, and so come back by
  // takeNew(), unless the rank writes the file itself; once, for a log that was followed anew tells
  // lines again. True: it was such a line.
  Result<bool> takeOutput(std::string_view line, os::Clock::TimePoint now);
  // The first line of this start that was meant to be metrics and is none; told once, else empty.
  std::string takeBroken() { return std::exchange(broken_, {}); }

  int rank() const { return rank_; }
  const StepSeries& series() const { return series_; }
  // Which deadline has passed, as the run file calls it; nullopt: it gets on. Steps count for who
  // tells them, lines of output for others. Until the first step is told nobody knows which of the
  // two a rank is: then the longer of both deadlines holds, and none where `step` is none.
  std::optional<std::string> overdue(const Deadlines& deadlines, os::Clock::TimePoint now) const;
  os::Clock::TimePoint lastProgress() const { return lastProgress_; }

 private:
  void openFile();
  void readNew(os::Clock::TimePoint now);
  void takeBytes(std::string_view bytes, os::Clock::TimePoint now);

  int rank_ = 0;
  std::string path_;
  StepSeries series_;
  os::UniqueFd file_;
  off_t offset_ = 0;
  std::string partial_;
  std::vector<MetricsLine> new_;  // that takeNew() has not told
  bool ownLines_ = false;         // the rank writes the file itself
  std::uint64_t added_ = 0;       // lines of output that we wrote and have not read back
  void keepBroken(std::string_view line);
  std::string broken_;
  bool hasBroken_ = false;  // in this start
  bool tellsSteps_ = false;
  bool begun_ = false;  // a step, or a line of output, since the start
  os::Clock::TimePoint lastProgress_;
};

}  // namespace railhead::train

#include "src/train/rank_watch.h"

#include "src/base/text.h"
#include "src/train/run_folder.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::train {
namespace {

constexpr std::size_t kMaxPartial = 64 << 10;
constexpr std::size_t kMostOfABrokenLine = 160;

bool isPast(os::Clock::TimePoint since, double seconds, os::Clock::TimePoint now) {
  return seconds > 0 && now - since > std::chrono::duration<double>(seconds);
}

}  // namespace

RankWatch::RankWatch(int rank, std::string metricsFile, StepSeries series)
    : rank_(rank), path_(std::move(metricsFile)), series_(std::move(series)) {
  struct stat about {};
  if (::stat(path_.c_str(), &about) == 0) offset_ = about.st_size;
}

Result<void> RankWatch::beginAttempt(std::uint64_t attempt, std::uint64_t step,
                                     os::Clock::TimePoint now) {
  (void)takeNew(now);  // what a dead rank still wrote
  partial_.clear();
  lastProgress_ = now;
  begun_ = tellsSteps_ = ownLines_ = hasBroken_ = false;
  broken_.clear();
  added_ = 0;
  if (offset_ == 0) return {};
  RAILHEAD_TRY(appendText(path_, resumedLine(attempt, step)));
  (void)takeNew(now);
  begun_ = tellsSteps_ = ownLines_ = false;
  return {};
}

void RankWatch::openFile() {
  if (!file_) file_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
}

std::vector<MetricsLine> RankWatch::takeNew(os::Clock::TimePoint now) {
  readNew(now);
  return std::exchange(new_, {});
}

void RankWatch::readNew(os::Clock::TimePoint now) {
  openFile();
  std::array<char, 16384> chunk{};
  while (file_) {
    const ssize_t got = ::pread(file_.get(), chunk.data(), chunk.size(), offset_);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    offset_ += got;
    takeBytes({chunk.data(), static_cast<std::size_t>(got)}, now);
  }
}

void RankWatch::takeBytes(std::string_view bytes, os::Clock::TimePoint now) {
  for (const char c : bytes) {
    if (c != '\n') {
      if (partial_.size() <= kMaxPartial) partial_ += c;
      continue;
    }
    const auto line = parseMetricsLine(partial_);
    if (!line) keepBroken(partial_);
    partial_.clear();
    if (!line) continue;
    series_.add(*line);
    if (line->kind != MetricsLine::Kind::kResumed) {
      if (added_ > 0) {
        --added_;
      } else {
        ownLines_ = true;
      }
      tellsSteps_ = tellsSteps_ || line->kind == MetricsLine::Kind::kStep;
      begun_ = begun_ || line->kind == MetricsLine::Kind::kStep;
      lastProgress_ = now;
    }
    new_.push_back(*line);
  }
}

Result<bool> RankWatch::takeOutput(std::string_view line, os::Clock::TimePoint now) {
  const auto metrics = parseMetricsLine(line);
  if (!metrics) {
    keepBroken(line);
    if (!tellsSteps_) {
      begun_ = true;
      lastProgress_ = now;
    }
    return false;
  }
  const bool resumed = metrics->kind == MetricsLine::Kind::kResumed;
  // Once there are steps it is an old line, of a log that was followed anew.
  if (ownLines_ || (resumed && tellsSteps_) || series_.has(*metrics)) return true;
  RAILHEAD_TRY(appendText(path_, std::string(line) + "\n"));
  if (!resumed) ++added_;
  readNew(now);  // the next line is judged by what this one says
  return true;
}

void RankWatch::keepBroken(std::string_view line) {
  if (hasBroken_ || !isBrokenMetrics(line)) return;
  hasBroken_ = true;
  broken_ = inQuotes(line, kMostOfABrokenLine);
}

std::optional<std::string> RankWatch::overdue(const Deadlines& deadlines,
                                              os::Clock::TimePoint now) const {
  if (!begun_) {
    if (isPast(lastProgress_, deadlines.start, now)) return "deadlines.startSeconds";
    return std::nullopt;
  }
  if (!tellsSteps_ && deadlines.step > 0 && deadlines.start > deadlines.step) {
    if (isPast(lastProgress_, deadlines.start, now)) return "deadlines.startSeconds";
    return std::nullopt;
  }
  if (isPast(lastProgress_, deadlines.step, now)) return "deadlines.stepSeconds";
  return std::nullopt;
}

}  // namespace railhead::train

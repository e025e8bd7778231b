// Since when a thread has been at work on one thing, for whoever watches whether it still gets
// anything done. A thread that waits is not at work, so a mark costs nothing while nothing happens.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace railhead::os {

// One thread marks, any thread reads.
class WorkMark {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  void begin(TimePoint now = std::chrono::steady_clock::now()) {
    since_ = now.time_since_epoch().count();
  }
  void end() { since_ = kIdle; }
  // Nothing while it waits.
  std::optional<TimePoint> since() const {
    const auto since = since_.load();
    if (since == kIdle) return std::nullopt;
    return TimePoint(TimePoint::duration(since));
  }

 private:
  static constexpr std::int64_t kIdle = INT64_MIN;
  std::atomic<std::int64_t> since_ = kIdle;
};

// At work for as long as it lives. A null mark is nobody's.
class AtWork {
 public:
  explicit AtWork(WorkMark* mark) : mark_(mark) {
    if (mark_ != nullptr) mark_->begin();
  }
  ~AtWork() {
    if (mark_ != nullptr) mark_->end();
  }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  WorkMark* const mark_;
};

// A mark for one more thread; an empty function for threads that nobody watches.
using MakeWorkMark = std::function<std::shared_ptr<WorkMark>()>;

inline std::shared_ptr<WorkMark> makeWorkMark(const MakeWorkMark& make) {
  return make ? make() : nullptr;
}

}  // namespace railhead::os

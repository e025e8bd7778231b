// Whether another program keeps taking our file away, and when to put it back. Cilium with
// cni.exclusive does so within milliseconds of every change in the folder: two programs that each
// act at once would never end. Plain values; one thread at a time.
#pragma once

#include "src/os/clock.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace railhead::conflist {

class Contest {
 public:
  using TimePoint = os::Clock::TimePoint;
  // So often it is put back at once, when it stood for less than kStands each time.
  static constexpr int kTolerated = 3;
  static constexpr std::chrono::seconds kStands{60};
  static constexpr std::chrono::seconds kFirstPause{1};
  static constexpr std::chrono::seconds kLongestPause{300};

  void put(TimePoint now) {
    putAt_ = now;
    until_.reset();
  }
  // Somebody took it away, or wrote over it.
  void lost(TimePoint now) {
    if (!putAt_) return;
    if (now - *putAt_ >= kStands) *this = Contest();
    putAt_.reset();
    if (++losses_ <= kTolerated) return;
    until_ = now + pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
  }
  // It was we who took it away.
  void given() { *this = Contest(); }

  int losses() const { return losses_; }
  bool stands() const { return putAt_.has_value(); }
  // Not to be put back before; nothing: now.
  std::optional<TimePoint> until() const { return until_; }

 private:
  std::optional<TimePoint> putAt_;  // nothing: it is not there
  std::optional<TimePoint> until_;
  int losses_ = 0;
  std::chrono::seconds pause_ = kFirstPause;
};

}  // namespace railhead::conflist

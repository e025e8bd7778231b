// Paces one direction of a link. Value type, no clock of its own: the caller says what time it is.
#pragma once

#include "src/base/units.h"

#include <chrono>
#include <cstddef>

namespace railhead::lab {

// Beside its frame a packet takes the preamble, the check sum and the gap on a real wire. They are
// counted, so that a link of 40 Mb/s carries what a real one of that rate would.
inline constexpr std::size_t kWireOverheadBytes = 24;

class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::nanoseconds;

  // After an idle time, or a late wake-up, `burst` of line time may be sent at once.
  TokenBucket(BitRate rate, Duration burst) : rate_(rate), burst_(burst) {}

  void setRate(BitRate rate) { rate_ = rate; }
  BitRate rate() const { return rate_; }

  // The moment from which a frame may be sent; not later than `now` means at once.
  TimePoint readyAt() const { return lineFree_ - burst_; }
  // Takes the line time of one frame (its overhead is added here).
  void take(std::size_t frameBytes, TimePoint now);

 private:
  BitRate rate_;
  Duration burst_;
  TimePoint lineFree_{};  // when the line is done with everything taken so far
};

}  // namespace railhead::lab

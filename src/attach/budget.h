// How long one request may still take. Thread-compatible.
#pragma once

#include "src/os/clock.h"

#include <algorithm>
#include <chrono>

namespace railhead::attach {

class Budget {
 public:
  Budget(os::Clock& clock, std::chrono::milliseconds whole)
      : clock_(&clock), end_(clock.now() + whole) {}

  // Not below zero.
  std::chrono::milliseconds left() const {
    return std::max(std::chrono::milliseconds(0),
                    std::chrono::floor<std::chrono::milliseconds>(end_ - clock_->now()));
  }
  bool isOver() const { return left().count() == 0; }
  std::chrono::milliseconds atMost(std::chrono::milliseconds wait) const {
    return std::min(wait, left());
  }

 private:
  os::Clock* clock_;
  os::Clock::TimePoint end_;
};

}  // namespace railhead::attach

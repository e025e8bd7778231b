// The seam onto time. Production: SystemClock; tests: tests/support/manual_clock.h.
#pragma once

#include <chrono>

namespace railhead::os {

class Clock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  virtual ~Clock() = default;
  virtual TimePoint now() = 0;  // monotonic
  virtual std::chrono::system_clock::time_point wallTime() = 0;
  virtual void sleepFor(Duration duration) = 0;
};

// Thread-safe.
class SystemClock final : public Clock {
 public:
  TimePoint now() override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point wallTime() override {
    return std::chrono::system_clock::now();
  }
  void sleepFor(Duration duration) override;
};

}  // namespace railhead::os

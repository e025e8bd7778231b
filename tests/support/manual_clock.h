// A clock that stands still until a test moves it. sleepFor() moves it, and returns at once.
// Thread-safe.
#pragma once

#include "src/os/clock.h"

#include <chrono>
#include <functional>
#include <mutex>

namespace railhead::testing_support {

class ManualClock final : public os::Clock {
 public:
  TimePoint now() override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  std::chrono::system_clock::time_point wallTime() override {
    const std::lock_guard lock(mutex_);
    return wall_;
  }
  void sleepFor(Duration duration) override {
    advance(duration);
    std::function<void()> what;
    {
      const std::lock_guard lock(mutex_);
      if (sleepsLeft_ > 0 && --sleepsLeft_ == 0) what = std::move(atSleep_);
    }
    if (what) what();
  }
  // Runs `what` once, in the n-th sleep (from 1) from now on.
  void atSleep(int sleep, std::function<void()> what) {
    const std::lock_guard lock(mutex_);
    sleepsLeft_ = sleep;
    atSleep_ = std::move(what);
  }

  void advance(Duration duration) {
    const std::lock_guard lock(mutex_);
    now_ += duration;
    wall_ += std::chrono::duration_cast<std::chrono::system_clock::duration>(duration);
  }

 private:
  std::mutex mutex_;
  int sleepsLeft_ = 0;
  std::function<void()> atSleep_;
  TimePoint now_{std::chrono::hours(1)};
  std::chrono::system_clock::time_point wall_{std::chrono::seconds(1'764'000'000)};
};

}  // namespace railhead::testing_support

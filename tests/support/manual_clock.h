// A clock that stands still until a test moves it. sleepFor() moves it, and returns at once.
// Thread-safe.
#pragma once

#include "src/os/clock.h"

#include <chrono>
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
  void sleepFor(Duration duration) override { advance(duration); }

  void advance(Duration duration) {
    const std::lock_guard lock(mutex_);
    now_ += duration;
    wall_ += std::chrono::duration_cast<std::chrono::system_clock::duration>(duration);
  }

 private:
  std::mutex mutex_;
  TimePoint now_{std::chrono::hours(1)};
  std::chrono::system_clock::time_point wall_{std::chrono::seconds(1'764'000'000)};
};

}  // namespace railhead::testing_support

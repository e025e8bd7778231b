// Ends calls that block for too long: a thread that looks after the one that calls. Arming it costs
// two atomic stores, so that every call can be guarded.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace railhead::collective {

class CallGuard {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // `end` is called from the guard's thread, once, when a call is overdue.
  explicit CallGuard(std::function<void()> end);
  ~CallGuard();
  CallGuard(const CallGuard&) = delete;
  CallGuard& operator=(const CallGuard&) = delete;

  // For the time of one call; one at a time.
  class Busy {
   public:
    Busy(CallGuard& guard, Deadline until) : guard_(guard) {
      guard_.until_ = until.time_since_epoch().count();
    }
    ~Busy() { guard_.until_ = kIdle; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    CallGuard& guard_;
  };

 private:
  static constexpr std::chrono::steady_clock::rep kIdle = 0;
  void run();

  std::function<void()> end_;
  std::atomic<std::chrono::steady_clock::rep> until_{kIdle};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace railhead::collective

// Node events that a test tells. Thread-safe.
#pragma once

#include "src/netlink/events.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

namespace railhead::testing_support {

class ToldEvents final : public netlink::NodeEvents {
 public:
  void tell(std::string what) {
    {
      const std::lock_guard lock(mutex_);
      news_.what.push_back(std::move(what));
    }
    changed_.notify_all();
  }
  netlink::NodeNews wait(std::chrono::steady_clock::time_point until,
                         const netlink::Settling&) override {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [this] { return !news_.empty(); });
    return std::exchange(news_, {});
  }
  void wake() override {
    {
      const std::lock_guard lock(mutex_);
      news_.woken = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  netlink::NodeNews news_;
};

}  // namespace railhead::testing_support

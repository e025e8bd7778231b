// Pauses between tries that fail, longer each time. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>

namespace railhead::kube {

struct PauseLimits {
  std::chrono::milliseconds first{1000};
  std::chrono::milliseconds longest{60000};
};

class RetryPause {
 public:
  explicit RetryPause(PauseLimits limits) : limits_(limits), next_(limits.first) {}
  // How long to wait before the next try; doubles from call to call.
  std::chrono::milliseconds next() {
    const auto pause = std::min(next_, limits_.longest);
    next_ = std::min(next_ * 2, limits_.longest);
    return pause;
  }
  void succeeded() { next_ = limits_.first; }

 private:
  const PauseLimits limits_;
  std::chrono::milliseconds next_;
};

}  // namespace railhead::kube

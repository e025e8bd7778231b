#include "src/collective/nccl/call_guard.h"

#include <utility>

namespace railhead::collective {
namespace {
constexpr std::chrono::milliseconds kLookEvery{20};
}

CallGuard::CallGuard(std::function<void()> end)
    : end_(std::move(end)), thread_([this] { run(); }) {}

CallGuard::~CallGuard() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CallGuard::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kLookEvery, [&] { return stop_; })) {
    const auto until = until_.load();
    if (until == kIdle || std::chrono::steady_clock::now().time_since_epoch().count() < until)
      continue;
    lock.unlock();
    end_();
    return;
  }
}

}  // namespace railhead::collective

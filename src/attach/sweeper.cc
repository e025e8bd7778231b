#include "src/attach/sweeper.h"

namespace railhead::attach {

Sweeper::Sweeper(Attacher& attacher, std::chrono::milliseconds interval, Listener listener)
    : attacher_(attacher),
      interval_(interval),
      listener_(std::move(listener)),
      thread_([this] { run(); }) {}

Sweeper::~Sweeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Sweeper::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

void Sweeper::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, interval_, [&] { return stopping_ || woken_; });
    if (stopping_) return;
    woken_ = false;
    lock.unlock();
    const SweepReport report = attacher_.sweep();
    if (isNews(report) && listener_) listener_(report);
    lock.lock();
  }
}

// A failure that comes again every second is told once.
bool Sweeper::isNews(const SweepReport& report) {
  std::vector<std::string> failing;
  for (const Error& error : report.failed) failing.push_back(error.message);
  const bool changed = failing != failing_ && !failing.empty();
  failing_ = std::move(failing);
  return changed || !report.done.empty();
}

}  // namespace railhead::attach

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
  auto fullDue = std::chrono::steady_clock::now();
  for (;;) {
    changed_.wait_for(lock, interval_, [&] { return stopping_ || woken_; });
    if (stopping_) return;
    const auto now = std::chrono::steady_clock::now();
    const bool full = woken_ || now >= fullDue;
    woken_ = false;
    lock.unlock();
    if (full) fullDue = now + kFullSweep;
    const SweepReport report = full ? attacher_.sweep() : attacher_.sweepAttachments();
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

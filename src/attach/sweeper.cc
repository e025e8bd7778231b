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
    if (listener_ && (!report.done.empty() || !report.failed.empty())) listener_(report);
    lock.lock();
  }
}

}  // namespace railhead::attach

#include "src/attach/sweeper.h"

namespace railhead::attach {

Sweeper::Sweeper(Attacher& attacher, std::chrono::milliseconds interval, Listener listener)
    : interval_(interval),
      listener_(std::move(listener)),
      rails_([this, &attacher] {
        run([&](bool full) { return full ? attacher.sweep() : attacher.sweepAttachments(); });
      }),
      plugins_([this, &attacher] {
        run([&](bool) {
          return attacher.sweepPlugins([this] {
            const std::lock_guard lock(mutex_);
            return stopping_;
          });
        });
      }) {}

Sweeper::~Sweeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  rails_.join();
  plugins_.join();
}

void Sweeper::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++wakes_;
  }
  changed_.notify_all();
}

void Sweeper::run(const Sweep& sweep) {
  std::vector<std::string> failing;
  std::uint64_t seen = 0;
  auto fullDue = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait_for(lock, interval_, [&] { return stopping_ || wakes_ != seen; });
    if (stopping_) return;
    const auto now = std::chrono::steady_clock::now();
    const bool full = wakes_ != seen || now >= fullDue;
    seen = wakes_;
    lock.unlock();
    if (full) fullDue = now + kFullSweep;
    tell(sweep(full), failing);
    lock.lock();
  }
}

// A failure that comes again every second is told once.
void Sweeper::tell(const SweepReport& report, std::vector<std::string>& failing) {
  std::vector<std::string> now;
  for (const Error& error : report.failed) now.push_back(error.message);
  const bool changed = now != failing && !now.empty();
  failing = std::move(now);
  if (!listener_ || (!changed && report.done.empty())) return;
  const std::lock_guard lock(listening_);
  listener_(report);
}

}  // namespace railhead::attach

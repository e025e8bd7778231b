#include "src/agent/observe/threads.h"

#include <utility>

namespace railhead::agent {

os::MakeWorkMark WatchedThreads::named(std::string name) {
  return [this, name = std::move(name)] {
    auto mark = std::make_shared<os::WorkMark>();
    const std::lock_guard lock(mutex_);
    std::erase_if(watched_, [](const Watched& one) { return one.mark.expired(); });
    watched_.push_back({name, mark});
    return mark;
  };
}

std::string WatchedThreads::stuck(std::chrono::steady_clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  for (const auto& one : watched_) {
    const auto mark = one.mark.lock();
    const auto since = mark ? mark->since() : std::nullopt;
    if (!since || now - *since <= kStuckAfter) continue;
    return one.name + " has been under way for " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now - *since).count()) +
           " s";
  }
  return {};
}

}  // namespace railhead::agent

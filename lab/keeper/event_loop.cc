#include "lab/keeper/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include <sys/epoll.h>

namespace railhead::lab {

Result<std::unique_ptr<EventLoop>> EventLoop::open() {
  std::unique_ptr<EventLoop> loop(new EventLoop());
  loop->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return Error::fromErrno(errno, "open an event loop");
  return loop;
}

Result<EventLoop::Id> EventLoop::watch(int fd, std::uint32_t epollEvents, Ready ready) {
  epoll_event event{};
  event.events = epollEvents;
  event.data.u64 = nextId_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return Error::fromErrno(errno, "watch a descriptor");
  }
  watches_.emplace(nextId_, Watch{fd, std::make_shared<Ready>(std::move(ready))});
  return nextId_++;
}

void EventLoop::change(Id id, std::uint32_t epollEvents) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  epoll_event event{};
  event.events = epollEvents;
  event.data.u64 = id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void EventLoop::forget(Id id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watches_.erase(found);
}

EventLoop::Id EventLoop::after(std::chrono::milliseconds delay, Due due) {
  timers_.emplace(nextId_, Timer{std::chrono::steady_clock::now() + delay, std::move(due)});
  return nextId_++;
}

void EventLoop::cancel(Id timer) { timers_.erase(timer); }

int EventLoop::waitMilliseconds() const {
  if (timers_.empty()) return -1;
  TimePoint earliest = TimePoint::max();
  for (const auto& [id, timer] : timers_) earliest = std::min(earliest, timer.due);
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(earliest - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60000));
}

void EventLoop::runTimers() {
  const auto now = std::chrono::steady_clock::now();
  std::vector<Id> due;
  for (const auto& [id, timer] : timers_) {
    if (timer.due <= now) due.push_back(id);
  }
  for (const Id id : due) {
    const auto found = timers_.find(id);
    if (found == timers_.end()) continue;  // an earlier one cancelled it
    const Due call = std::move(found->second.call);
    timers_.erase(found);
    call();
  }
}

void EventLoop::run() {
  std::array<epoll_event, 32> events{};
  while (!stopped_) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), waitMilliseconds());
    for (int i = 0; i < count && !stopped_; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto found = watches_.find(event.data.u64);
      if (found == watches_.end()) continue;                     // an earlier one forgot it
      const std::shared_ptr<Ready> ready = found->second.ready;  // survives being forgotten
      (*ready)(event.events);
    }
    if (!stopped_) runTimers();
  }
}

}  // namespace railhead::lab

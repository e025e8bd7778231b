#include "src/verbs/poller.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <poll.h>
#include <sched.h>

namespace railhead::verbs {
namespace {

using Clock = std::chrono::steady_clock;

int usableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Milliseconds for poll(2), rounded up so that it never wakes before the deadline in a busy loop.
int millisecondsUntil(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

}  // namespace

PollPolicy PollPolicy::forDevices(const std::vector<const DeviceInfo*>& devices) {
  const bool software =
      std::any_of(devices.begin(), devices.end(), [](const auto* info) { return info->software; });
  return {std::chrono::microseconds(software || usableCpus() < 2 ? 0 : 50)};
}

Result<std::size_t> Poller::drain(const Handler& handler) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    std::array<Completion, 16> batch;
    RAILHEAD_TRY_ASSIGN(const std::size_t count, queues_[i]->poll(batch));
    for (std::size_t n = 0; n < count; ++n) RAILHEAD_TRY(handler(i, batch[n]));
    total += count;
  }
  return total;
}

Result<void> Poller::wait(Deadline deadline, const Handler& handler) {
  RAILHEAD_TRY(waitOrReadable(deadline, -1, handler));
  return {};
}

Result<bool> Poller::waitOrReadable(Deadline deadline, int fd, const Handler& handler) {
  const auto spinUntil = Clock::now() + policy_.spin;
  do {
    RAILHEAD_TRY_ASSIGN(const std::size_t count, drain(handler));
    if (count > 0) return false;
  } while (Clock::now() < spinUntil);
  for (;;) {
    for (auto* queue : queues_) RAILHEAD_TRY(queue->arm());
    RAILHEAD_TRY_ASSIGN(std::size_t count, drain(handler));  // what came before arming
    bool readable = false;
    if (count == 0) {
      RAILHEAD_TRY_ASSIGN(readable, sleepForEvent(deadline, fd));
      RAILHEAD_TRY_ASSIGN(count, drain(handler));
    }
    if (count > 0) return false;
    if (readable) return true;
    if (Clock::now() >= deadline) {
      return Error(ErrorCode::kDeadlineExceeded, "no completion arrived in time");
    }
  }
}

Result<bool> Poller::sleepForEvent(Deadline deadline, int fd) {
  std::vector<pollfd> waiting;
  for (const auto* queue : queues_) waiting.push_back({queue->eventFd(), POLLIN, 0});
  if (fd >= 0) waiting.push_back({fd, POLLIN, 0});
  if (::poll(waiting.data(), waiting.size(), millisecondsUntil(deadline)) < 0 && errno != EINTR) {
    return Error::fromErrno(errno, "wait for completions");
  }
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    if (waiting[i].revents != 0) RAILHEAD_TRY(queues_[i]->clearEvents());
  }
  return fd >= 0 && waiting.back().revents != 0;
}

}  // namespace railhead::verbs

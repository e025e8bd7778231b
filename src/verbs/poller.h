// Waits for completions on several queues with one thread: spins while an answer is likely to be
// near, then sleeps on the queues' events, so that on one CPU the software behind a soft device
// gets its turn.
#pragma once

#include "src/base/result.h"
#include "src/verbs/verbs.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

namespace railhead::verbs {

using Deadline = std::chrono::steady_clock::time_point;

struct PollPolicy {
  std::chrono::microseconds spin{50};

  // No spinning when this process may run on one CPU only or the device is software.
  static PollPolicy forDevices(const std::vector<const DeviceInfo*>& devices);
};

// Not thread-safe. Holds pointers: the queues must outlive it.
class Poller {
 public:
  using Handler = std::function<Result<void>(std::size_t queue, const Completion& completion)>;

  Poller(std::vector<CompletionQueue*> queues, PollPolicy policy)
      : queues_(std::move(queues)), policy_(policy) {}

  // One round over the queues: hands up to 16 completions of each to `handler`, returns how many
  // there were, never waits. Bounded, so that a caller who posts more in the handler keeps control.
  Result<std::size_t> drain(const Handler& handler);
  // As drain, but waits for at least one; kDeadlineExceeded when none came.
  Result<void> wait(Deadline deadline, const Handler& handler);
  // Like wait, and also ends, without a completion, when `fd` becomes readable; true when it did.
  Result<bool> waitOrReadable(Deadline deadline, int fd, const Handler& handler);

 private:
  Result<bool> sleepForEvent(Deadline deadline, int fd);

  std::vector<CompletionQueue*> queues_;
  PollPolicy policy_;
};

}  // namespace railhead::verbs

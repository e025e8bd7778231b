// Descriptors and timers of one thread. Not thread-safe; callbacks run inside run() and may watch,
// change and forget anything, themselves included.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace railhead::lab {

class EventLoop {
 public:
  using Id = std::uint64_t;  // never reused; 0 is none
  using Ready = std::function<void(std::uint32_t epollEvents)>;
  using Due = std::function<void()>;

  static Result<std::unique_ptr<EventLoop>> open();

  // The descriptor stays its owner's, who forgets the id before closing it.
  Result<Id> watch(int fd, std::uint32_t epollEvents, Ready ready);
  void change(Id id, std::uint32_t epollEvents);
  void forget(Id id);

  Id after(std::chrono::milliseconds delay, Due due);
  void cancel(Id timer);

  void run();  // until stop()
  void stop() { stopped_ = true; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Watch {
    int fd;
    std::shared_ptr<Ready> ready;
  };
  struct Timer {
    TimePoint due;
    Due call;
  };

  EventLoop() = default;
  int waitMilliseconds() const;
  void runTimers();

  os::UniqueFd epoll_;
  Id nextId_ = 1;
  std::map<Id, Watch> watches_;
  std::map<Id, Timer> timers_;
  bool stopped_ = false;
};

}  // namespace railhead::lab

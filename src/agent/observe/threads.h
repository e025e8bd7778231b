// The threads of the agent that serve somebody: whether one of them has hung. Thread-safe.
#pragma once

#include "src/os/work_mark.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace railhead::agent {

class WatchedThreads {
 public:
  // Longer than any request or registration may take.
  static constexpr std::chrono::seconds kStuckAfter{180};

  // Makes marks for threads that are called `name` ("a CNI request"); one that its thread lets go
  // of is forgotten. Outlived by this object.
  os::MakeWorkMark named(std::string name);

  // What has been at it for longer than kStuckAfter, in one line; empty when all is well.
  std::string stuck(std::chrono::steady_clock::time_point now) const;

 private:
  struct Watched {
    std::string name;
    std::weak_ptr<os::WorkMark> mark;
  };
  mutable std::mutex mutex_;
  std::vector<Watched> watched_;
};

}  // namespace railhead::agent

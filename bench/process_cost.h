// What a running process costs, read from /proc; one program started for it.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace railhead::bench_programs {

struct ProcessCost {
  std::uint64_t rssKiB = 0;
  std::uint64_t anonymousKiB = 0;
  std::uint64_t fileKiB = 0;
  int threads = 0;
  double cpuSeconds = 0;  // of every thread that lives, since each began
};

Result<ProcessCost> readCost(pid_t process);

// A program of its own, with its output in `log`. Ended with the object.
class StartedProgram {
 public:
  static Result<StartedProgram> start(const std::vector<std::string>& argv, const std::string& log);
  StartedProgram(StartedProgram&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  StartedProgram& operator=(StartedProgram&&) = delete;
  ~StartedProgram();  // SIGTERM, then waits

  pid_t pid() const { return pid_; }

 private:
  explicit StartedProgram(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

}  // namespace railhead::bench_programs

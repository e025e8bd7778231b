// The seam onto child processes. Nothing here uses a shell. Thread-safe.
#pragma once

#include "src/base/result.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace railhead::os {

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH unless it has a '/'
  std::optional<std::map<std::string, std::string>>
      environment;                            // whole environment; inherited when absent
  std::string input;                          // written to the child's standard input
  std::chrono::milliseconds deadline{30000};  // then SIGKILL to the child's process group
  // Once this descriptor is readable (a signalfd), what is left of the deadline is so much at most.
  int interruptFd = -1;
  std::chrono::milliseconds afterInterrupt{5000};
  std::size_t maxOutput = 4 << 20;  // bytes kept of each stream; more is an error
  // Runtimes give a container /proc/sys read-only. The program has it writable all the same, in a
  // mount namespace of its own, as far as this process may do that and its capabilities reach;
  // otherwise as it is here.
  bool writableSysctls = false;
};

struct ProcessResult {
  int exitCode = 0;  // 128 + signal when a signal ended it
  std::string output;
  std::string errorOutput;
};

class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  // Runs to the end. A non-zero exit is a value, not an Error; kDeadlineExceeded, kNotFound (no
  // such program) and kExhausted (too much output) are Errors, and then nothing is left running but
  // what the kernel holds fast (a device that is gone), of which five seconds are waited for.
  virtual Result<ProcessResult> run(const ProcessSpec& spec) = 0;
};

class SystemProcessRunner final : public ProcessRunner {
 public:
  Result<ProcessResult> run(const ProcessSpec& spec) override;
};

}  // namespace railhead::os

// A child process that cannot outlive its parent: the kernel kills it when the thread that started
// it ends, however that happens. Linux only.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace railhead::os {

struct BoundProcessSpec {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH unless it has a '/'
  std::vector<int> inherited;     // kept open under the same numbers; all others are closed
  int output = -1;                // becomes its standard output and error; -1: nowhere
  int errors = -1;                // becomes its standard error; -1: where its output goes
  int input = -1;                 // becomes its standard input; -1: empty
  std::optional<std::map<std::string, std::string>> environment;  // whole; inherited when absent
  bool diesWithParent = true;  // false: only for a keeper, which watches a socket instead
  bool ownSession = false;     // no terminal's Ctrl-C reaches it; signals reach its process group
};

class BoundProcess {
 public:
  static constexpr std::chrono::seconds kDying{5};  // what a killed one has to end

  // kNotFound when there is no such program.
  static Result<BoundProcess> start(const BoundProcessSpec& spec, const std::string& nullDevice);

  BoundProcess(BoundProcess&& other) noexcept;
  BoundProcess& operator=(BoundProcess&& other) noexcept;
  ~BoundProcess();  // kills and reaps

  pid_t pid() const { return pid_; }
  int pidFd() const { return pidFd_.get(); }  // readable once it has ended
  // How it ended ("exit code 1", "signal 9"), once it has. What it left in its process group
  // (`ownSession`) is killed first.
  std::optional<std::string> ended();
  // Its exit code, or 128 + signal, once it has ended.
  std::optional<int> exitCode() const { return exitCode_; }
  void signal(int number);  // to it, or to its process group; nothing when it has ended
  // SIGKILL and reap; nothing when it has ended. What does not end until then, because the kernel
  // holds it fast, is left.
  void kill(std::chrono::steady_clock::time_point limit);
  void kill() { kill(std::chrono::steady_clock::now() + kDying); }
  void release();  // leaves it running; forgets it

 private:
  BoundProcess(pid_t pid, UniqueFd pidFd, bool ownSession)
      : pid_(pid), pidFd_(std::move(pidFd)), ownSession_(ownSession) {}

  pid_t pid_ = -1;
  UniqueFd pidFd_;
  bool ownSession_ = false;
  std::optional<std::string> ended_;
  std::optional<int> exitCode_;
};

}  // namespace railhead::os

// A child process that cannot outlive its parent: the kernel kills it when the thread that started
// it ends, however that happens. Linux only.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace railhead::lab {

struct BoundProcessSpec {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH unless it has a '/'
  std::vector<int> inherited;     // kept open under the same numbers; all others are closed
  int output = -1;                // becomes its standard output and error; -1: nowhere
  bool diesWithParent = true;     // false: only for a keeper, which watches a socket instead
  bool ownSession = false;        // no terminal's Ctrl-C reaches it
};

class BoundProcess {
 public:
  // kNotFound when there is no such program. Standard input is empty.
  static Result<BoundProcess> start(const BoundProcessSpec& spec, const std::string& nullDevice);

  BoundProcess(BoundProcess&& other) noexcept;
  BoundProcess& operator=(BoundProcess&& other) noexcept;
  ~BoundProcess();  // kills and reaps

  pid_t pid() const { return pid_; }
  int pidFd() const { return pidFd_.get(); }  // readable once it has ended
  // How it ended ("exit code 1", "signal 9"), once it has.
  std::optional<std::string> ended();
  void kill();     // SIGKILL and reap; nothing when it has ended
  void release();  // leaves it running; forgets it

 private:
  BoundProcess(pid_t pid, os::UniqueFd pidFd) : pid_(pid), pidFd_(std::move(pidFd)) {}

  pid_t pid_ = -1;
  os::UniqueFd pidFd_;
  std::optional<std::string> ended_;
};

}  // namespace railhead::lab

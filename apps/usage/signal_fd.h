// Signals as something to wait for.
#pragma once

#include "src/os/unique_fd.h"

#include <csignal>

namespace railhead::usage {

// SIGINT, SIGTERM and SIGHUP arrive at a descriptor as long as this lives, not at a handler. Of the
// thread that makes it; threads and programs it starts later inherit the mask, so start none that
// does not set its own.
class SignalFd {
 public:
  SignalFd();
  ~SignalFd();
  SignalFd(const SignalFd&) = delete;
  SignalFd& operator=(const SignalFd&) = delete;

  int get() const { return fd_.get(); }  // readable when one came
  // The first that came, taken; 0 when none did.
  int take() const;

 private:
  sigset_t before_{};
  os::UniqueFd fd_;
};

}  // namespace railhead::usage

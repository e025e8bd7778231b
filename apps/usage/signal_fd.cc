#include "apps/usage/signal_fd.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace railhead::usage {

SignalFd::SignalFd() {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&wanted, signal);
  pthread_sigmask(SIG_BLOCK, &wanted, &before_);
  fd_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

SignalFd::~SignalFd() {
  // What came was acted upon; left pending it would end the process now, without its exit code.
  while (take() != 0) {
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int SignalFd::take() const {
  signalfd_siginfo taken{};
  return ::read(fd_.get(), &taken, sizeof taken) == sizeof taken ? static_cast<int>(taken.ssi_signo)
                                                                 : 0;
}

}  // namespace railhead::usage

#include "apps/railhead-agent/stop_signals.h"

#include <csignal>

#include <pthread.h>

namespace railhead::agent_app {
namespace {

sigset_t stopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void blockStopSignals() {
  const sigset_t set = stopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int waitForStop() {
  const sigset_t set = stopSignals();
  int signal = 0;
  sigwait(&set, &signal);
  return signal;
}

}  // namespace railhead::agent_app

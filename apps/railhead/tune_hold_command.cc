#include "apps/railhead/tune_hold_command.h"

#include "apps/usage/signal_fd.h"

#include <cerrno>

#include <CLI/CLI.hpp>
#include <poll.h>
#include <sys/wait.h>

namespace railhead::app {
namespace {

// As the first process of a pod it inherits what others leave behind: looked at this often.
constexpr int kReapMilliseconds = 5000;

void hold() {
  const usage::SignalFd signals;
  while (signals.take() == 0) {
    pollfd waiting{signals.get(), POLLIN, 0};
    if (::poll(&waiting, 1, kReapMilliseconds) < 0 && errno != EINTR) return;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

}  // namespace

void addTuneHold(CLI::App* tune, Context& /*context*/) {
  auto* command =
      tune->add_subcommand("hold", "Wait, until a signal, for ranks started here")->group("");
  command->callback([] { hold(); });
}

}  // namespace railhead::app

// A whole agent on a fake kernel as a process of its own, so that tests can kill it: two twin PFs,
// four VFs each. Real sockets in the folders that are given; prints "ready".
#include "src/agent/agent.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/told_events.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <pthread.h>

namespace railhead {
namespace {

constexpr const char* kConfig = R"(version: 1
provision: {pfs: [{vfs: 4}]}
twins: [[enp1s0f0np0, enP2p1s0f0np0]]
resources: [{name: nvidia.com/cx7_qsfp}]
)";

int fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.describe().c_str());
  return 1;
}

// Kills the process when it logs a certain text: an agent that dies at a certain point.
class DeadlyLog final : public os::Log {
 public:
  explicit DeadlyLog(std::string text) : text_(std::move(text)) {}
  void write(os::LogLevel, std::string_view, std::string_view message) override {
    if (!text_.empty() && message.find(text_) != std::string_view::npos) ::raise(SIGKILL);
  }

 private:
  const std::string text_;
};

int run(os::HostPaths paths, agent::Start how, const std::string& dieAt) {
  sigset_t set{};
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  testing_support::FakeKernel kernel(paths);
  kernel.memory().putDirectory(paths.state);
  kernel.addPf({.pci = "0000:01:00.0", .netdev = "enp1s0f0np0", .mac = "52:54:00:00:01:00"});
  kernel.addPf({.pci = "0000:02:00.0", .netdev = "enP2p1s0f0np0", .mac = "52:54:00:00:02:00"});
  testing_support::ToldEvents events;
  os::SystemClock clock;
  DeadlyLog log(dieAt);
  auto config = agent::parseConfig(kConfig, "config");
  if (!config.has_value()) return fail(config.error());
  auto agent = agent::Agent::create(std::move(*config), paths,
                                    {kernel.files(), kernel, events, kernel, clock, log});
  if (!agent.has_value()) return fail(agent.error());
  const auto started = (*agent)->start(how);
  if (!started.has_value()) return fail(started.error());
  std::puts("ready");
  std::fflush(stdout);
  int signal = 0;
  sigwait(&set, &signal);
  (*agent)->stop();
  if ((*agent)->handedOver()) std::_Exit(0);  // as the real one
  return 0;
}

}  // namespace
}  // namespace railhead

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(
        stderr,
        "usage: fake-node-agent STATE PLUGINS POD-RESOURCES [--take-over [DIE-AT-LOG-TEXT]]\n");
    return 2;
  }
  railhead::os::HostPaths paths;
  paths.state = argv[1];
  paths.kubeletPlugins = argv[2];
  paths.podResources = argv[3];
  const bool takeOver = argc > 4 && std::string_view(argv[4]) == "--take-over";
  return railhead::run(
      paths, takeOver ? railhead::agent::Start::kTakeOver : railhead::agent::Start::kAlone,
      argc > 5 ? argv[5] : "");
}

// Real network namespaces. Runs in a child with namespaces of its own, so it leaves no mount behind
// and needs no privilege where users may make namespaces.
#include "lab/kubelet/sandbox.h"

#include "lab/kubelet/container.h"
#include "src/os/netns.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

constexpr int kNotPermitted = 77;

// In the child: what failed, for the test's output. Empty when all went well.
using Body = std::function<std::string(const std::string& folder)>;

void runIsolated(const Body& body) {
  const auto uid = ::getuid();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool root = uid == 0;
    if (::unshare((root ? 0 : CLONE_NEWUSER) | CLONE_NEWNS | CLONE_NEWNET) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      ::_exit(kNotPermitted);
    }
    std::string folder = "/tmp/rh-sandbox-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) ::_exit(1);
    const std::string wrong = body(folder);
    ::umount2((folder + "/netns").c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    if (!wrong.empty()) std::fprintf(stderr, "%s\n", wrong.c_str());
    ::_exit(wrong.empty() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNotPermitted) {
    GTEST_SKIP() << "this machine lets us make no network namespace";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

os::HostPaths pathsIn(const std::string& folder) {
  os::HostPaths paths;
  paths.netnsDirectory = folder + "/netns";
  return paths;
}

bool loopbackIsUp() {
  const os::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, IFNAMSIZ, "lo");
  return ::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

TEST(Sandbox, MakesANamespaceOfItsOwnWithLoopback) {
  runIsolated([](const std::string& folder) -> std::string {
    NetnsSandboxMaker maker(pathsIn(folder));
    const auto path = maker.make("cni-1");
    if (!path.has_value()) return path.error().describe();
    const auto second = maker.make("cni-2");
    if (!second.has_value()) return second.error().describe();
    if (maker.make("cni-1").has_value()) return "the same name twice was accepted";
    os::SystemNetnsOpener opener;
    const auto inside = opener.open(*path);
    const auto other = opener.open(*second);
    const auto home = opener.current();
    if (!inside.has_value() || !other.has_value() || !home.has_value()) return "cannot open";
    if (inside->id == home->id || inside->id == other->id) return "not a namespace of its own";
    bool up = false;
    const auto ran = os::runInside(*inside, [&]() -> Result<void> {
      up = loopbackIsUp();
      return {};
    });
    if (!ran.has_value() || !up) return "lo is not up";
    for (int round = 0; round < 2; ++round) {  // the second finds nothing and succeeds
      const auto removed = maker.remove(*path);
      if (!removed.has_value()) return removed.error().describe();
    }
    if (std::filesystem::exists(*path)) return "the file stayed";
    return "";
  });
}

TEST(Container, RunsInsideAndIsKilled) {
  runIsolated([](const std::string& folder) -> std::string {
    NetnsSandboxMaker maker(pathsIn(folder));
    const auto path = maker.make("cni-1");
    if (!path.has_value()) return path.error().describe();
    Container::Plan plan;
    plan.netns = *path;
    plan.logFile = folder + "/log";
    plan.environment = {{"PATH", std::getenv("PATH")}, {"RAIL", "set-0"}};
    plan.command = {"sh", "-c", "echo $RAIL; readlink /proc/self/ns/net; exit 5"};
    auto container = Container::start(plan);
    if (!container.has_value()) return container.error().describe();
    while (!(*container)->exitCode()) std::this_thread::yield();
    if ((*container)->exitCode() != 5) return "wrong exit code";
    std::ifstream log(plan.logFile);
    const std::string text(std::istreambuf_iterator<char>(log), {});
    os::SystemNetnsOpener opener;
    const auto inside = opener.open(*path);
    if (!inside.has_value()) return inside.error().describe();
    if (text != "set-0\nnet:[" + std::to_string(inside->id.inode) + "]\n") return "log: " + text;

    plan.command = {"sleep", "1000"};
    auto sleeper = Container::start(plan);
    if (!sleeper.has_value()) return sleeper.error().describe();
    if ((*sleeper)->exitCode()) return "the sleeper ended";
    sleeper->reset();
    plan.command = {"no-such-program"};
    const auto absent = Container::start(plan);
    if (absent.has_value() || absent.error().code != ErrorCode::kNotFound) {
      return "a missing program was not told";
    }
    return "";
  });
}

}  // namespace
}  // namespace railhead::lab

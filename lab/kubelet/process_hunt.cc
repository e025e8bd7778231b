#include "lab/kubelet/process_hunt.h"

#include "src/base/text.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{2};
constexpr std::chrono::milliseconds kPoll{20};

std::vector<pid_t> processesIn(const std::string& proc, std::uint64_t netns) {
  std::vector<pid_t> found;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(proc, failed)) {
    const auto number = parseUnsigned(entry.path().filename().string());
    if (!number || static_cast<pid_t>(*number) == ::getpid()) continue;
    const auto own = namespaceId(entry.path().string() + "/ns/net");
    if (own.has_value() && *own == netns) found.push_back(static_cast<pid_t>(*number));
  }
  return found;
}

}  // namespace

Result<std::uint64_t> namespaceId(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return Error::fromErrno(errno, "look at " + path);
  return info.st_ino;
}

void killInside(const std::string& proc, std::uint64_t netns) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto found = processesIn(proc, netns);
    if (found.empty() || std::chrono::steady_clock::now() > until) return;
    for (const pid_t pid : found) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(kPoll);
  }
}

Result<void> releaseNamespace(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT) {
    return Error::fromErrno(errno, "unmount " + path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Error::fromErrno(errno, "remove " + path);
  }
  return {};
}

}  // namespace railhead::lab

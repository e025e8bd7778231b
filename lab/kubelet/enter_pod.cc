#include "lab/kubelet/enter_pod.h"

#include "src/base/text.h"
#include "src/os/netns.h"
#include "src/os/unique_fd.h"

#include <cerrno>
#include <fstream>

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

// A process that moves into the container's cgroup may open only the container's devices.
Result<void> joinCgroup(int process) {
  const std::string from = "/proc/" + std::to_string(process) + "/cgroup";
  std::ifstream file(from);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("0::")) continue;
    const std::string procs = "/sys/fs/cgroup" + line.substr(3) + "/cgroup.procs";
    std::ofstream into(procs);
    into << "0" << std::flush;
    if (!into) return Error(ErrorCode::kIo, "join " + procs);
    return {};
  }
  return Error(ErrorCode::kNotFound, from + ": no cgroup v2 in it");
}

Result<void> enterContainer(int process) {
  const os::UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  if (!handle) return Error::fromErrno(errno, "open process " + std::to_string(process));
  RAILHEAD_TRY(joinCgroup(process));
  if (::setns(handle.get(), CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
    return Error::fromErrno(errno, "enter the namespaces of process " + std::to_string(process));
  }
  return {};
}

// A sysfs shows the network namespace that it was mounted in: as a runtime does for a container.
Result<void> ownSysfs() {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      ::mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return Error::fromErrno(errno, "mount the pod's own sysfs");
  }
  return {};
}

}  // namespace

Result<void> enterPod(const ControlClient::Door& door) {
  if (door.process != 0) return enterContainer(door.process);
  os::SystemNetnsOpener opener;
  RAILHEAD_TRY_ASSIGN(const os::Netns netns, opener.open(door.netns));
  if (::setns(netns.fd.get(), CLONE_NEWNET) != 0) {
    return Error::fromErrno(errno, "enter " + door.netns);
  }
  return ownSysfs();
}

std::string withoutMarks(const std::string& log) {
  std::string text;
  for (const auto line : split(log, '\n')) {
    // Time, stream, tag: 'F' for a whole line, 'P' for one that goes on.
    std::size_t at = 0;
    for (int word = 0; word < 3 && at != std::string_view::npos; ++word) {
      at = line.find(' ', at);
      if (at != std::string_view::npos) ++at;
    }
    if (at == std::string_view::npos || at < 3) continue;
    text += line.substr(at);
    if (line[at - 2] == 'F') text += '\n';
  }
  return text;
}

}  // namespace railhead::lab

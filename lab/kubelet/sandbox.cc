#include "lab/kubelet/sandbox.h"

#include "lab/kubelet/process_hunt.h"
#include "src/os/unique_fd.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

Result<void> bringLoopbackUp() {
  const os::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return Error::fromErrno(errno, "make a socket in the pod's namespace");
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
    return Error::fromErrno(errno, "read the flags of lo");
  }
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    return Error::fromErrno(errno, "set lo up");
  }
  return {};
}

// The mount keeps the namespace alive. It has to reach processes in other mount namespaces too (the
// agent in its own container), so the folder is a shared mount of its own, as ip-netns does it.
Result<void> shareFolder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error::fromErrno(failed.value(), "make " + folder);
  if (::mount("", folder.c_str(), "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
  if (errno != EINVAL) return Error::fromErrno(errno, "share mount " + folder);
  if (::mount(folder.c_str(), folder.c_str(), "none", MS_BIND | MS_REC, nullptr) != 0 ||
      ::mount("", folder.c_str(), "none", MS_SHARED | MS_REC, nullptr) != 0) {
    return Error::fromErrno(errno, "share mount " + folder);
  }
  return {};
}

Result<void> pinNewNamespace(const std::string& proc, const std::string& path) {
  if (::unshare(CLONE_NEWNET) != 0) return Error::fromErrno(errno, "make a network namespace");
  RAILHEAD_TRY(bringLoopbackUp());
  const std::string own = proc + "/thread-self/ns/net";
  if (::mount(own.c_str(), path.c_str(), "none", MS_BIND, nullptr) != 0) {
    return Error::fromErrno(errno, "mount a network namespace at " + path);
  }
  return {};
}

}  // namespace

Result<std::string> NetnsSandboxMaker::make(const std::string& name) {
  RAILHEAD_TRY(shareFolder(directory_));
  const std::string path = directory_ + "/" + name;
  const os::UniqueFd place(::open(path.c_str(), O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444));
  if (!place) return Error::fromErrno(errno, "make " + path);
  // A thread of its own: the namespace must be left by nobody.
  Result<void> made;
  std::thread([&] { made = pinNewNamespace(proc_, path); }).join();
  if (!made.has_value()) {
    ::unlink(path.c_str());
    return std::move(made).error();
  }
  return path;
}

Result<void> NetnsSandboxMaker::remove(const std::string& path) { return releaseNamespace(path); }

}  // namespace railhead::lab

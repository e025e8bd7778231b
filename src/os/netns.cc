#include "src/os/netns.h"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace railhead::os {
namespace {

Result<Netns> openNetns(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error::fromErrno(errno, "open network namespace " + path);
  // A bind mount whose namespace was never mounted is an ordinary file: the ioctl tells.
  if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) {
    return Error(ErrorCode::kInvalidArgument, path + " is not a network namespace");
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return Error::fromErrno(errno, "stat " + path);
  return Netns{std::move(fd), {info.st_dev, info.st_ino}};
}

constexpr const char* kThreadNetns = "/proc/thread-self/ns/net";

}  // namespace

Result<Netns> SystemNetnsOpener::open(const std::string& path) { return openNetns(path); }

Result<Netns> SystemNetnsOpener::current() { return openNetns(kThreadNetns); }

Result<std::unique_ptr<Filesystem>> SystemNetnsOpener::sysfs(const Netns& netns) {
  UniqueFd root;
  // A mount of sysfs shows the namespace of whoever makes it. This one is attached nowhere: it goes
  // with its descriptor.
  RAILHEAD_TRY(runInside(netns, [&]() -> Result<void> {
    const UniqueFd made(static_cast<int>(::syscall(SYS_fsopen, "sysfs", FSOPEN_CLOEXEC)));
    if (!made) return Error::fromErrno(errno, "make a mount of sysfs");
    if (::syscall(SYS_fsconfig, made.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
      return Error::fromErrno(errno, "make a mount of sysfs");
    constexpr unsigned kAttributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    root = UniqueFd(
        static_cast<int>(::syscall(SYS_fsmount, made.get(), FSMOUNT_CLOEXEC, kAttributes)));
    if (!root) return Error::fromErrno(errno, "make a mount of sysfs");
    return {};
  }));
  return std::unique_ptr<Filesystem>(RootedFilesystem::at(std::move(root)));
}

Result<void> runInside(const Netns& netns, const std::function<Result<void>()>& body) {
  RAILHEAD_TRY_ASSIGN(const Netns home, openNetns(kThreadNetns));
  if (::setns(netns.fd.get(), CLONE_NEWNET) != 0)
    return Error::fromErrno(errno, "enter network namespace");
  auto result = body();
  if (::setns(home.fd.get(), CLONE_NEWNET) != 0) std::abort();
  return result;
}

}  // namespace railhead::os

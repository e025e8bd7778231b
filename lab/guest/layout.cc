#include "lab/guest/layout.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace railhead::lab {

namespace {

constexpr unsigned long kNoSuid = MS_NOSUID | MS_NODEV;
constexpr const char* kNewRoot = "/newroot";

Result<void> makeFolders(const std::string& path) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure) return Error::fromErrno(failure.value(), "create " + path);
  return {};
}

// Frees the initramfs: its files are memory that nothing can reach once the root has moved.
void removeInitramfs() {
  std::error_code ignored;
  std::filesystem::remove_all("/modules", ignored);
  std::filesystem::remove("/init", ignored);
}

}  // namespace

const std::vector<MountStep>& earlyMounts() {
  static const std::vector<MountStep> steps = {
      {"proc", "proc", "/proc", kNoSuid | MS_NOEXEC, nullptr},
      {"sysfs", "sysfs", "/sys", kNoSuid | MS_NOEXEC, nullptr},
      {"devtmpfs", "devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
  };
  return steps;
}

const std::vector<MountStep>& nodeMounts() {
  static const std::vector<MountStep> steps = {
      {"proc", "proc", "/proc", kNoSuid | MS_NOEXEC, nullptr},
      {"sysfs", "sysfs", "/sys", kNoSuid | MS_NOEXEC, nullptr},
      {"cgroup2", "cgroup2", "/sys/fs/cgroup", kNoSuid | MS_NOEXEC, "nsdelegate"},
      {"bpf", "bpf", "/sys/fs/bpf", kNoSuid | MS_NOEXEC, "mode=0700"},
      {"devtmpfs", "devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
      {"devpts", "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
      {"tmpfs", "tmpfs", "/dev/shm", kNoSuid, "mode=1777"},
      {"tmpfs", "tmpfs", "/run", kNoSuid, "mode=0755"},
      {"tmpfs", "tmpfs", "/tmp", kNoSuid, "mode=1777"},
      {"tmpfs", "tmpfs", "/var", kNoSuid, "mode=0755"},
      {"tmpfs", "tmpfs", "/opt", kNoSuid, "mode=0755"},
      {"tmpfs", "tmpfs", "/etc/cni", kNoSuid, "mode=0755"},
  };
  return steps;
}

const std::vector<std::string>& nodeFolders() {
  static const std::vector<std::string> folders = {
      "/run/netns",    "/run/lock",
      "/var/lib/cni",  "/var/lib/kubelet/device-plugins",
      "/var/log",      "/var/lib/kubelet/pod-resources",
      "/var/tmp",      "/opt/cni/bin",
      "/etc/cni/net.d"};
  return folders;
}

const std::vector<NodeLink>& nodeLinks() {
  static const std::vector<NodeLink> links = {
      {"/run", "/var/run"},
      {"/run/lock", "/var/lock"},
      {"/proc/self/fd", "/dev/fd"},
      {"/proc/self/fd/0", "/dev/stdin"},
      {"/proc/self/fd/1", "/dev/stdout"},
      {"/proc/self/fd/2", "/dev/stderr"},
  };
  return links;
}

Result<void> mountAll(const std::vector<MountStep>& steps, const std::string& root) {
  for (const MountStep& step : steps) {
    const std::string target = root + step.target;
    // On a read-only image the folder is there already; if not, mount says so.
    ::mkdir(target.c_str(), 0755);
    if (::mount(step.source, target.c_str(), step.type, step.flags, step.options) != 0) {
      return Error::fromErrno(errno, std::string("mount ") + step.type + " on " + target);
    }
  }
  return {};
}

Result<void> enterRootImage(const std::string& device, int waitMilliseconds) {
  constexpr int kStep = 5;
  for (int waited = 0; ::access(device.c_str(), F_OK) != 0; waited += kStep) {
    if (waited >= waitMilliseconds) {
      return Error(ErrorCode::kNotFound, "root image: " + device + " did not appear",
                   "give the node root.erofs as its first virtio-blk drive");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kStep));
  }
  RAILHEAD_TRY(makeFolders(kNewRoot));
  if (::mount(device.c_str(), kNewRoot, "erofs", MS_RDONLY | MS_NODEV, nullptr) != 0) {
    return Error::fromErrno(errno, "mount the root image on " + device);
  }
  for (const char* view : {"/proc", "/sys", "/dev"}) ::umount2(view, MNT_DETACH);
  removeInitramfs();
  if (::chdir(kNewRoot) != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      ::chroot(".") != 0 || ::chdir("/") != 0) {
    return Error::fromErrno(errno, "make the root image the root");
  }
  return {};
}

Result<void> mountShare(const std::string& folder) {
  RAILHEAD_TRY(makeFolders(folder));
  // Pieces of 256 KiB: each is a round trip through the emulator.
  constexpr const char* kOptions = "trans=virtio,version=9p2000.L,msize=262144,cache=none";
  if (::mount("railhead-share", folder.c_str(), "9p", kNoSuid, kOptions) != 0) {
    return Error::fromErrno(errno, "mount the host's folder on " + folder);
  }
  return {};
}

Result<void> layOutNode() {
  RAILHEAD_TRY(mountAll(nodeMounts(), ""));
  // Container runtimes and pod namespaces expect mounts to travel between mount namespaces.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) != 0) {
    return Error::fromErrno(errno, "share the root mount");
  }
  for (const std::string& folder : nodeFolders()) RAILHEAD_TRY(makeFolders(folder));
  for (const NodeLink& link : nodeLinks()) {
    if (::symlink(link.target, link.path) != 0 && errno != EEXIST) {
      return Error::fromErrno(errno, std::string("link ") + link.path);
    }
  }
  return {};
}

}  // namespace railhead::lab

// The seam onto network namespaces.
#pragma once

#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/os/unique_fd.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace railhead::os {

// Identity of a namespace: stays the same while anything holds it open.
struct NetnsId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  auto operator<=>(const NetnsId&) const = default;
};

// An open network namespace. Hold it briefly: an open handle keeps the namespace and its VFs alive
// after its pod died.
struct Netns {
  UniqueFd fd;
  NetnsId id;
};

class NetnsOpener {
 public:
  virtual ~NetnsOpener() = default;
  // kNotFound when nothing is there; kInvalidArgument when it is not a network namespace.
  virtual Result<Netns> open(const std::string& path) = 0;
  virtual Result<Netns> current() = 0;  // the one this process runs in
  // The sysfs that a process in there sees: netdevs and exclusive RDMA devices of that namespace
  // only. Its paths begin below /sys ("/class/net"). Read-only; it keeps no namespace alive.
  // kUnsupported before Linux 5.2, kPermissionDenied without CAP_SYS_ADMIN.
  virtual Result<std::unique_ptr<Filesystem>> sysfs(const Netns& netns) = 0;
};

class SystemNetnsOpener final : public NetnsOpener {
 public:
  Result<Netns> open(const std::string& path) override;
  Result<Netns> current() override;
  Result<std::unique_ptr<Filesystem>> sysfs(const Netns& netns) override;
};

// Runs `body` with the calling thread inside `netns`, then returns the thread to where it was. A
// thread that cannot return aborts the process: going on in the wrong namespace would break the
// node.
Result<void> runInside(const Netns& netns, const std::function<Result<void>()>& body);

}  // namespace railhead::os

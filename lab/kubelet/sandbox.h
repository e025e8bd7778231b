// The network namespace of a pod, as the container runtime makes it before it calls CNI.
#pragma once

#include "src/base/result.h"
#include "src/os/host_paths.h"

#include <string>

namespace railhead::lab {

class SandboxMaker {
 public:
  virtual ~SandboxMaker() = default;
  // A new namespace with lo up, kept alive by a mount at the returned path.
  virtual Result<std::string> make(const std::string& name) = 0;
  // Lets the namespace go; succeeds when nothing is there.
  virtual Result<void> remove(const std::string& path) = 0;
};

// Needs CAP_SYS_ADMIN. Thread-safe.
class NetnsSandboxMaker final : public SandboxMaker {
 public:
  explicit NetnsSandboxMaker(const os::HostPaths& paths)
      : directory_(paths.netnsDirectory), proc_(paths.proc) {}
  Result<std::string> make(const std::string& name) override;
  Result<void> remove(const std::string& path) override;

 private:
  std::string directory_;
  std::string proc_;
};

}  // namespace railhead::lab

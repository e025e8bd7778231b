// What this machine must have before a lab starts, found out before anything is started.
#pragma once

#include "lab/topology/topology.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"

#include <string>

namespace railhead::lab {

// Each failure is kEnvironment: one line that names what is short, and the remedy.
class HostCheck {
 public:
  // All three outlive this object.
  HostCheck(os::Filesystem& files, os::ProcessRunner& processes, const os::HostPaths& paths)
      : files_(files), processes_(processes), paths_(paths) {}

  // QEMU is there, new enough, and has the devices that a node is made of.
  Result<void> checkQemu(const std::string& program);
  // The nodes' memory fits into what the machine has available now.
  Result<void> checkMemory(const Topology& topology);
  // The folder that nodes are to share is there, by its whole path. kInvalidArgument.
  Result<void> checkShare(const std::string& folder);
  // The accelerator is there: "tcg" always is, "kvm" needs its device.
  Result<void> checkAccelerator(const std::string& accelerator);

 private:
  Result<std::string> ask(const std::string& program, std::vector<std::string> arguments);

  os::Filesystem& files_;
  os::ProcessRunner& processes_;
  const os::HostPaths& paths_;
};

}  // namespace railhead::lab

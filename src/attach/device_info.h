// Device information files, as the Device Information Specification 1.1.0 of the Kubernetes network
// plumbing group has them: what a pod's network device is, for whoever sets the pod up further.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <string>

namespace railhead::attach {

struct DeviceInfo {
  PciAddress pci;
  PciAddress pf;
  std::string rdmaDevice;  // empty: none
};

// {"type":"pci","version":"1.1.0","pci":{...}}
std::string encodeDeviceInfo(const DeviceInfo& info);

// Files below one folder (HostPaths::deviceInfo), written atomically. Thread-safe as the filesystem
// is, for different files.
class DeviceInfoFolder {
 public:
  DeviceInfoFolder(os::Filesystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  // cni/<container>-<interface>-device.json: a rail in a pod.
  Result<void> writeForPod(const std::string& containerId, const std::string& ifname,
                           const DeviceInfo& info);
  // Succeeds when there is none.
  Result<void> removeForPod(const std::string& containerId, const std::string& ifname);

  // dp/<resource>-<device>-device.json with '/' as '-': a device that a device plugin handed out.
  Result<void> writeForDevice(const std::string& resource, const std::string& device,
                              const DeviceInfo& info);
  Result<void> removeForDevice(const std::string& resource, const std::string& device);

 private:
  Result<void> write(const std::string& folder, const std::string& name, const DeviceInfo& info);

  os::Filesystem& files_;
  const std::string folder_;
};

}  // namespace railhead::attach

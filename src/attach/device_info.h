// Device information files, as the Device Information Specification 1.1.0 of the Kubernetes network
// plumbing group has them: what a pod's network device is, for whoever sets the pod up further.
#pragma once

#include "src/base/pci_address.h"
#include "src/base/result.h"
#include "src/os/filesystem.h"

#include <set>
#include <string>

namespace railhead::attach {

struct DeviceInfo {
  PciAddress pci;
  PciAddress pf;
  std::string rdmaDevice;  // empty: none
};

// {"type":"pci","version":"1.1.0","pci":{...}}
std::string encodeDeviceInfo(const DeviceInfo& info);

// cni/<container>-<interface>-device.json below `folder`.
std::string podDeviceInfoFile(const std::string& folder, const std::string& containerId,
                              const std::string& ifname);

// Files below one folder (HostPaths::deviceInfo), written atomically. Thread-safe as the filesystem
// is, for different files.
class DeviceInfoFolder {
 public:
  DeviceInfoFolder(os::Filesystem& files, std::string folder)
      : files_(files), folder_(std::move(folder)) {}

  // podDeviceInfoFile(): a rail in a pod.
  Result<void> writeForPod(const std::string& containerId, const std::string& ifname,
                           const DeviceInfo& info);
  // The same for a device that some device plugin handed out: what its file says, if it wrote one.
  Result<void> copyForPod(const std::string& containerId, const std::string& ifname,
                          const std::string& resource, const std::string& device);
  // The JSON object that is there by now, ours or a CNI plugin's; empty without one. kCorrupt for
  // anything else.
  Result<std::string> readForPod(const std::string& containerId, const std::string& ifname);
  // Succeeds when there is none.
  Result<void> removeForPod(const std::string& containerId, const std::string& ifname);

  // dp/<resource>-<device>-device.json with '/' as '-': a device that our device plugin offers. Who
  // attaches it to a pod, Multus for one, copies the file and tells the pod what it says.
  Result<void> writeForDevice(const std::string& resource, const std::string& device,
                              const DeviceInfo& info);
  Result<void> removeForDevice(const std::string& resource, const std::string& device);
  // Removes the files of the resource's devices that are not among `kept`. Only devices that a PCI
  // address begins the name of, as it does ours: a longer resource name may begin like this one.
  Result<void> removeOtherDevices(const std::string& resource, const std::set<std::string>& kept);

 private:
  Result<void> write(const std::string& folder, const std::string& path, const std::string& text);
  std::string podFile(const std::string& containerId, const std::string& ifname) const {
    return podDeviceInfoFile(folder_, containerId, ifname);
  }
  std::string deviceFile(const std::string& resource, const std::string& device) const;

  os::Filesystem& files_;
  const std::string folder_;
};

}  // namespace railhead::attach

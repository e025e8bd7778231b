#include "src/attach/device_info.h"

#include "src/cni/json_input.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr const char* kPods = "/cni";
constexpr const char* kDevices = "/dp";

// A name that cannot leave its folder.
std::string fileName(const std::string& first, const std::string& second) {
  std::string name = first + "-" + second + "-device.json";
  std::replace(name.begin(), name.end(), '/', '-');
  return name;
}

}  // namespace

std::string encodeDeviceInfo(const DeviceInfo& info) {
  cni::Json out;
  out["type"] = "pci";
  out["version"] = "1.1.0";
  out["pci"]["pci-address"] = info.pci.toString();
  out["pci"]["pf-pci-address"] = info.pf.toString();
  if (!info.rdmaDevice.empty()) out["pci"]["rdma-device"] = info.rdmaDevice;
  return cni::dumpJson(out);
}

Result<void> DeviceInfoFolder::write(const std::string& folder, const std::string& name,
                                     const DeviceInfo& info) {
  RAILHEAD_TRY(files_.makeDirectories(folder).addContext("device information"));
  return files_.replaceFile(folder + "/" + name, encodeDeviceInfo(info))
      .addContext("device information");
}

Result<void> DeviceInfoFolder::writeForPod(const std::string& containerId,
                                           const std::string& ifname, const DeviceInfo& info) {
  return write(folder_ + kPods, fileName(containerId, ifname), info);
}

Result<void> DeviceInfoFolder::removeForPod(const std::string& containerId,
                                            const std::string& ifname) {
  return files_.remove(folder_ + kPods + "/" + fileName(containerId, ifname))
      .addContext("device information");
}

Result<void> DeviceInfoFolder::writeForDevice(const std::string& resource,
                                              const std::string& device, const DeviceInfo& info) {
  return write(folder_ + kDevices, fileName(resource, device), info);
}

Result<void> DeviceInfoFolder::removeForDevice(const std::string& resource,
                                               const std::string& device) {
  return files_.remove(folder_ + kDevices + "/" + fileName(resource, device))
      .addContext("device information");
}

}  // namespace railhead::attach

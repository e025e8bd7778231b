#include "src/attach/device_info.h"

#include "src/json/json.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

constexpr const char* kPods = "/cni";
constexpr const char* kDevices = "/dp";
constexpr std::size_t kMaxDeviceInfo = 16 << 10;  // bytes

constexpr const char* kEnd = "-device.json";

// A name that cannot leave its folder.
std::string fileName(const std::string& first, const std::string& second) {
  std::string name = first + "-" + second + kEnd;
  std::replace(name.begin(), name.end(), '/', '-');
  return name;
}

}  // namespace

std::string encodeDeviceInfo(const DeviceInfo& info) {
  json::Value out;
  out["type"] = "pci";
  out["version"] = "1.1.0";
  out["pci"]["pci-address"] = info.pci.toString();
  out["pci"]["pf-pci-address"] = info.pf.toString();
  if (!info.rdmaDevice.empty()) out["pci"]["rdma-device"] = info.rdmaDevice;
  return json::dump(out);
}

std::string podDeviceInfoFile(const std::string& folder, const std::string& containerId,
                              const std::string& ifname) {
  return folder + kPods + "/" + fileName(containerId, ifname);
}

std::string DeviceInfoFolder::deviceFile(const std::string& resource,
                                         const std::string& device) const {
  return folder_ + kDevices + "/" + fileName(resource, device);
}

Result<void> DeviceInfoFolder::write(const std::string& folder, const std::string& path,
                                     const std::string& text) {
  RAILHEAD_TRY(files_.makeDirectories(folder).addContext("device information"));
  return files_.replaceFile(path, text).addContext("device information");
}

Result<void> DeviceInfoFolder::writeForPod(const std::string& containerId,
                                           const std::string& ifname, const DeviceInfo& info) {
  return write(folder_ + kPods, podFile(containerId, ifname), encodeDeviceInfo(info));
}

Result<void> DeviceInfoFolder::copyForPod(const std::string& containerId, const std::string& ifname,
                                          const std::string& resource, const std::string& device) {
  const auto text = files_.readFile(deviceFile(resource, device), kMaxDeviceInfo);
  if (!text.has_value()) {
    if (text.error().code == ErrorCode::kNotFound) return {};
    return Error(text.error()).addContext("device information");
  }
  return write(folder_ + kPods, podFile(containerId, ifname), *text);
}

Result<std::string> DeviceInfoFolder::readForPod(const std::string& containerId,
                                                 const std::string& ifname) {
  const std::string path = podFile(containerId, ifname);
  const auto text = files_.readFile(path, kMaxDeviceInfo);
  if (!text.has_value()) {
    if (text.error().code == ErrorCode::kNotFound) return std::string();
    return Error(text.error()).addContext("device information");
  }
  const auto object = json::parseObject(*text, path);
  if (object.has_value()) return json::dump(*object);
  return Error(ErrorCode::kCorrupt, "device information: " + object.error().message);
}

Result<void> DeviceInfoFolder::removeForPod(const std::string& containerId,
                                            const std::string& ifname) {
  return files_.remove(podFile(containerId, ifname)).addContext("device information");
}

Result<void> DeviceInfoFolder::writeForDevice(const std::string& resource,
                                              const std::string& device, const DeviceInfo& info) {
  return write(folder_ + kDevices, deviceFile(resource, device), encodeDeviceInfo(info));
}

Result<void> DeviceInfoFolder::removeForDevice(const std::string& resource,
                                               const std::string& device) {
  return files_.remove(deviceFile(resource, device)).addContext("device information");
}

Result<void> DeviceInfoFolder::removeOtherDevices(const std::string& resource,
                                                  const std::set<std::string>& kept) {
  const auto names = files_.listDirectory(folder_ + kDevices);
  if (!names.has_value()) return {};
  const std::string empty = fileName(resource, "");
  const std::string begin = empty.substr(0, empty.size() - std::string_view(kEnd).size());
  for (const std::string& name : *names) {
    if (!name.starts_with(begin) || !name.ends_with(kEnd)) continue;
    const std::string device =
        name.substr(begin.size(), name.size() - begin.size() - std::string_view(kEnd).size());
    if (kept.contains(device) ||
        !PciAddress::parse(device.substr(0, device.find('+'))).has_value()) {
      continue;
    }
    RAILHEAD_TRY(files_.remove(folder_ + kDevices + "/" + name).addContext("device information"));
  }
  return {};
}

}  // namespace railhead::attach

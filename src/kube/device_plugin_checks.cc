#include "src/kube/device_plugin_checks.h"

#include "src/base/text.h"
#include "src/kube/resource_name.h"
#include "src/os/host_paths.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace railhead::kube {

Result<void> checkOptions(const DevicePluginOptions& options) {
  RAILHEAD_TRY(checkResourceName(options.resource));
  if (options.socket.empty() || options.socket.find('/') != std::string::npos ||
      options.socket.front() == '.' || options.socket == os::kKubeletSocket) {
    return Error(ErrorCode::kInvalidArgument, "device-plugin socket name " +
                                                  inQuotes(options.socket) +
                                                  ": a file name other than " + os::kKubeletSocket +
                                                  ", without '/' and leading '.'");
  }
  for (const auto& name : {options.socket, std::string(os::kKubeletSocket)}) {
    const std::string path = options.folder + "/" + name;
    if (path.size() > os::kMaxUnixPath) {
      return Error(ErrorCode::kInvalidArgument,
                   "device-plugin socket path " + inQuotes(path, 160) + " has " +
                       std::to_string(path.size()) + " bytes: at most " +
                       std::to_string(os::kMaxUnixPath) + " are allowed",
                   "mount kubelet's folder at a shorter path");
    }
  }
  return {};
}

Result<void> checkDevices(const std::vector<Device>& devices) {
  if (devices.size() > DevicePluginServer::kMaxDevices) {
    return Error(ErrorCode::kInvalidArgument,
                 "devices: " + std::to_string(devices.size()) + ": at most " +
                     std::to_string(DevicePluginServer::kMaxDevices) + " are allowed");
  }
  std::set<std::string_view> seen;
  for (const auto& device : devices) {
    const bool printable = std::all_of(device.id.begin(), device.id.end(),
                                       [](unsigned char c) { return std::isgraph(c) != 0; });
    if (device.id.empty() || device.id.size() > DevicePluginServer::kMaxIdLength || !printable) {
      return Error(ErrorCode::kInvalidArgument,
                   "device id " + inQuotes(device.id) + ": 1 to " +
                       std::to_string(DevicePluginServer::kMaxIdLength) + " visible characters");
    }
    if (!seen.insert(device.id).second) {
      return Error(ErrorCode::kInvalidArgument,
                   "device id " + inQuotes(device.id) + " is in the list twice");
    }
  }
  return {};
}

}  // namespace railhead::kube

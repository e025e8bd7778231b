// Inside src/kube only: what a device-plugin server is asked to do, before it does it. Pure.
#pragma once

#include "src/base/result.h"
#include "src/kube/device_plugin_server.h"

#include <vector>

namespace railhead::kube {

// kInvalidArgument names what is wrong and what is allowed.
Result<void> checkOptions(const DevicePluginOptions& options);
Result<void> checkDevices(const std::vector<Device>& devices);

}  // namespace railhead::kube

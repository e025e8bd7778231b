// One device-plugin server of the agent, whatever it offers.
#pragma once

#include "src/agent/observe/threads.h"
#include "src/base/result.h"
#include "src/kube/device_plugin_server.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <memory>
#include <string>

namespace railhead::agent {

// Its socket is "railhead-nvidia.com_cx7_qsfp.sock", or has a number for a name where that would be
// longer than a socket's path may be. Changes of its state are logged. All outlive it; `threads`
// may be null.
Result<std::unique_ptr<kube::DevicePluginServer>> makePluginServer(const os::HostPaths& paths,
                                                                   os::Log& log,
                                                                   const std::string& resource,
                                                                   kube::ResourceHandler& handler,
                                                                   WatchedThreads* threads);

// The file of the GPUs' CDI specification.
std::string gpuCdiFile();

}  // namespace railhead::agent

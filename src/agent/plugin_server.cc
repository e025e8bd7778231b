#include "src/agent/plugin_server.h"

namespace railhead::agent {

Result<std::unique_ptr<kube::DevicePluginServer>> makePluginServer(const os::HostPaths& paths,
                                                                   os::Log& log,
                                                                   const std::string& resource,
                                                                   kube::ResourceHandler& handler,
                                                                   WatchedThreads* threads) {
  kube::DevicePluginOptions options;
  options.folder = paths.kubeletPlugins;
  options.socket = "railhead-" + resource.substr(resource.find('/') + 1) + ".sock";
  options.resource = resource;
  if (threads != nullptr) options.mark = threads->named("serving kubelet " + resource);
  options.onState = [&log, resource](const kube::PluginState& state) {
    log.info("advertise", resource + ": " + std::string(kube::pluginPhaseName(state.phase)) +
                              (state.detail.empty() ? "" : ": " + state.detail));
  };
  options.onNote = [&log, resource](const std::string& note) {
    log.warning("advertise", resource + ": " + note);
  };
  return kube::DevicePluginServer::create(std::move(options), handler);
}

std::string gpuCdiFile() { return "railhead-nvidia-gpu.json"; }

}  // namespace railhead::agent

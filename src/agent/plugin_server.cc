#include "src/agent/plugin_server.h"

#include <utility>

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
  // Each try to reach a kubelet that is away goes through the same states: told once.
  options.onState = [&log, resource,
                     told = std::make_shared<std::string>()](const kube::PluginState& state) {
    if (state.phase == kube::PluginPhase::kRegistering) return;
    const std::string text = std::string(kube::pluginPhaseName(state.phase)) +
                             (state.detail.empty() ? "" : ": " + state.detail);
    if (std::exchange(*told, text) != text) log.info("advertise", resource + ": " + text);
  };
  options.onNote = [&log, resource](const std::string& note) {
    log.warning("advertise", resource + ": " + note);
  };
  return kube::DevicePluginServer::create(std::move(options), handler);
}

std::string gpuCdiFile() { return "railhead-nvidia-gpu.json"; }

}  // namespace railhead::agent

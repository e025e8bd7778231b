#include "src/agent/plugin_server.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <sys/un.h>

namespace railhead::agent {
namespace {

// A domain has no '_': the first one stands for the slash.
std::string socketName(const std::string& folder, std::string resource) {
  const std::string number = std::to_string(std::hash<std::string>()(resource));
  std::replace(resource.begin(), resource.end(), '/', '_');
  const std::string whole = "railhead-" + resource + ".sock";
  const bool fits = folder.size() + 1 + whole.size() < sizeof(sockaddr_un::sun_path);
  return fits ? whole : "railhead-" + number + ".sock";
}

}  // namespace

Result<std::unique_ptr<kube::DevicePluginServer>> makePluginServer(const os::HostPaths& paths,
                                                                   os::Log& log,
                                                                   const std::string& resource,
                                                                   kube::ResourceHandler& handler,
                                                                   WatchedThreads* threads) {
  kube::DevicePluginOptions options;
  options.folder = paths.kubeletPlugins;
  options.socket = socketName(options.folder, resource);
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

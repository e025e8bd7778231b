#include "apps/railhead-agent/api_access.h"

#include "src/kube/api/api_server.h"

#include <array>
#include <cstdlib>
#include <map>

#include <CLI/CLI.hpp>
#include <unistd.h>

namespace railhead::agent_app {
namespace {

std::string environmentValue(const char* name) {
  // Before any thread that could change it.
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

std::string nodeName(const ApiOptions& options) {
  if (!options.node.empty()) return options.node;
  if (std::string name = environmentValue("NODE_NAME"); !name.empty()) return name;
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "";
}

}  // namespace

void addApiOptions(CLI::App& command, ApiOptions& options) {
  auto* url = command.add_option("--api-server", options.url,
                                 "Kubernetes API server, https://HOST:PORT; without it as a pod");
  command.add_option("--token-file", options.tokenFile, "Bearer token for it")->needs(url);
  command.add_option("--ca-file", options.caFile, "Certificates (PEM) that it is trusted by")
      ->needs(url);
  command.add_option("--node-name", options.node,
                     "Name of this node's object; else $NODE_NAME or the host's name");
}

Result<std::unique_ptr<ApiAccess>> ApiAccess::make(const ApiOptions& options) {
  auto access = std::make_unique<ApiAccess>();
  RAILHEAD_TRY_ASSIGN(access->files_, os::RootedFilesystem::open("/"));
  os::Filesystem& files = *access->files_;
  access->cluster_.node = nodeName(options);
  access->cluster_.ownNamespace =
      kube::inClusterNamespace(files, options.accountFolder).value_or("");
  std::map<std::string, std::string> environment;
  for (const char* name : {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"})
    environment[name] = environmentValue(name);
  access->cluster_.open = [options, environment,
                           &files]() -> Result<std::unique_ptr<kube::ApiServer>> {
    kube::ApiServerConfig config{options.url, options.tokenFile, options.caFile};
    if (options.url.empty()) {
      RAILHEAD_TRY_ASSIGN(config, kube::inClusterConfig(environment, files, options.accountFolder));
    }
    return kube::openApiServer(config, files);
  };
  return access;
}

}  // namespace railhead::agent_app

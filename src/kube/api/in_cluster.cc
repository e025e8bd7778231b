#include "src/base/text.h"
#include "src/kube/api/api_server.h"

namespace railhead::kube {
namespace {

std::string value(const std::map<std::string, std::string>& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

Error notInPod(std::string message) {
  return Error(ErrorCode::kEnvironment, std::move(message),
               "run the agent as a pod with a service account, or name the API server with "
               "--api-server");
}

}  // namespace

Result<ApiServerConfig> inClusterConfig(const std::map<std::string, std::string>& environment,
                                        os::Filesystem& files, const std::string& accountFolder) {
  const std::string host = value(environment, "KUBERNETES_SERVICE_HOST");
  const std::string port = value(environment, "KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty())
    return notInPod("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  const auto number = parseUnsigned(port);
  if (!number || *number == 0 || *number > 65535) {
    return Error(ErrorCode::kInvalidArgument,
                 "KUBERNETES_SERVICE_PORT is " + inQuotes(port) + "; allowed: 1 to 65535");
  }
  const bool ipv6 = host.find(':') != std::string::npos;
  ApiServerConfig config;
  config.url = "https://" + (ipv6 ? "[" + host + "]" : host) + ":" + port;
  config.tokenFile = accountFolder + "/token";
  config.caFile = accountFolder + "/ca.crt";
  for (const auto& path : {config.tokenFile, config.caFile}) {
    if (!files.exists(path)) return notInPod(path + " does not exist");
  }
  return config;
}

Result<std::string> inClusterNamespace(os::Filesystem& files, const std::string& accountFolder) {
  const std::string path = accountFolder + "/namespace";
  RAILHEAD_TRY_ASSIGN(const std::string name, files.readTrimmed(path));
  if (name.empty() || name.size() > 63)
    return Error(ErrorCode::kInvalidArgument, path + " holds " + inQuotes(name) +
                                                  "; allowed: a namespace of 1 to 63 characters");
  return name;
}

}  // namespace railhead::kube

// Which kinds there are, as clients that know none beforehand (kubectl) ask for it.
#include "tests/support/fake_api_server/fake_api_server.h"

#include <nlohmann/json.hpp>

namespace railhead::testing_support {
namespace {

using nlohmann::json;

constexpr const char* kCore = "/api/v1";
constexpr const char* kGroups = "/apis/";

json groupVersion(const std::string& groupAndVersion) {
  return {{"groupVersion", groupAndVersion},
          {"version", groupAndVersion.substr(groupAndVersion.find('/') + 1)}};
}

}  // namespace

void FakeApiServer::describeKind(const std::string& root, const std::string& plural,
                                 const std::string& kind, bool namespaced) {
  addKind(root, plural);
  const std::lock_guard lock(mutex_);
  described_[root][plural] = {kind, namespaced};
}

std::optional<std::string> FakeApiServer::discovery(const std::string& path) const {
  if (path == "/api") {
    return json{{"kind", "APIVersions"}, {"versions", {"v1"}}}.dump();
  }
  if (path == "/apis") {
    json groups = json::array();
    for (const auto& [root, kinds] : described_) {
      if (!root.starts_with(kGroups)) continue;
      const std::string name = root.substr(std::string(kGroups).size());
      const json version = groupVersion(name);
      groups.push_back({{"name", name.substr(0, name.find('/'))},
                        {"versions", json::array({version})},
                        {"preferredVersion", version}});
    }
    return json{{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", groups}}.dump();
  }
  const auto found = described_.find(path);
  if (found == described_.end()) return std::nullopt;
  json resources = json::array();
  for (const auto& [plural, described] : found->second) {
    resources.push_back({{"name", plural},
                         {"singularName", ""},
                         {"kind", described.kind},
                         {"namespaced", described.namespaced},
                         {"verbs", {"create", "get", "list", "patch"}}});
  }
  const std::string name = path == kCore ? "v1" : path.substr(std::string(kGroups).size());
  return json{{"kind", "APIResourceList"}, {"groupVersion", name}, {"resources", resources}}.dump();
}

}  // namespace railhead::testing_support

#include "src/agent/foreign_plugin.h"

#include "src/os/unix_socket.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>
#include <system_error>

namespace railhead::agent {
namespace {

constexpr std::chrono::milliseconds kProbe{100};

// Only a refusal tells that nobody is there: a full backlog is a living process, too.
bool isAlive(const std::string& path) {
  const auto probe = os::connectUnix(path, std::chrono::steady_clock::now() + kProbe);
  if (probe.has_value()) return true;
  const int reason = probe.error().errnoValue;
  return reason != ECONNREFUSED && reason != ENOENT;
}

}  // namespace

std::string findLivingSocket(const std::string& folder, std::string_view prefix) {
  namespace fs = std::filesystem;
  std::set<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator each(folder, failed), end; !failed && each != end;
       each.increment(failed)) {
    std::string name = each->path().filename().string();
    std::error_code ignored;
    if (name.starts_with(prefix) && each->is_socket(ignored)) names.insert(std::move(name));
  }
  for (const auto& name : names) {
    if (isAlive(folder + "/" + name)) return name;
  }
  return {};
}

}  // namespace railhead::agent

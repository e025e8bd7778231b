#include "src/agent/agent.h"
#include "src/os/file_lock.h"

namespace railhead::agent {
namespace {

// What an agent that was killed while it wrote left in the folder; only with the lock held.
void removeInterruptedWrites(os::Filesystem& files, const std::string& folder) {
  const auto names = files.listDirectory(folder);
  if (!names.has_value()) return;
  for (const auto& name : *names) {
    if (name.starts_with('.')) static_cast<void>(files.remove(folder + "/" + name));
  }
}

}  // namespace

Result<os::UniqueFd> lockNode(os::Filesystem& files, const os::HostPaths& paths) {
  RAILHEAD_TRY(files.makeDirectories(paths.state, 0700));
  auto lock = os::lockFile(paths.nodeLock());
  if (lock.has_value()) {
    removeInterruptedWrites(files, paths.state);
    return lock;
  }
  return std::move(lock)
      .error()
      .addContext("another railhead-agent is at work on this node")
      .withRemedy("end it first, or let this one take over: railhead-agent run --take-over");
}

}  // namespace railhead::agent

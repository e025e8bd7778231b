#include "src/agent/primary.h"

namespace railhead::agent {

conflist::InstallerConfig installerConfig(const AgentConfig& config, const os::HostPaths& paths) {
  conflist::InstallerConfig install;
  install.chain = config.cni.conflist;
  install.folder = paths.cniConfig;
  install.binFolder = paths.cniBin;
  install.file = config.cni.file;
  install.primary = config.cni.primary;
  install.shim = paths.cniShim;
  if (paths.cniSocket() != os::HostPaths().cniSocket()) install.socket = paths.cniSocket();
  return install;
}

void logInstall(os::Log& log, const Result<conflist::InstallOutcome>& outcome) {
  if (!outcome.has_value()) return log.error("conflist", outcome.error());
  for (const auto& line : outcome->changes) log.info("conflist", line);
  if (outcome->standing == conflist::Standing::kShadowed ||
      outcome->standing == conflist::Standing::kContested) {
    log.error("conflist", outcome->note);
  } else if (!outcome->note.empty()) {
    log.info("conflist", outcome->note);
  }
}

std::string conflistFailure(const std::optional<conflist::InstallOutcome>& outcome) {
  const bool failed = outcome && outcome->standing == conflist::Standing::kFailed;
  return failed ? outcome->note : "";
}

}  // namespace railhead::agent

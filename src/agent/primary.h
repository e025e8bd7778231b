// How the agent stands behind the primary network: what it tells the conflist's installer, and what
// it logs of it.
#pragma once

#include "src/agent/config.h"
#include "src/conflist/installer.h"
#include "src/os/host_paths.h"
#include "src/os/log.h"

#include <optional>
#include <string>

namespace railhead::agent {

conflist::InstallerConfig installerConfig(const AgentConfig& config, const os::HostPaths& paths);

// Another program that keeps us from being called is an error, all else that stands is news.
void logInstall(os::Log& log, const Result<conflist::InstallOutcome>& outcome);

// Why the runtime cannot be brought to call us; empty: it can.
std::string conflistFailure(const std::optional<conflist::InstallOutcome>& outcome);

}  // namespace railhead::agent

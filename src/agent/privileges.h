// What the agent must be allowed beyond reading and writing root's files, by what it does
// (docs/reference/security.md).
#pragma once

#include "src/agent/config.h"
#include "src/base/result.h"
#include "src/os/capabilities.h"
#include "src/os/log.h"

#include <string>
#include <vector>

namespace railhead::agent {

struct Privilege {
  os::Capability capability{};
  std::string why;  // "enter pods' network namespaces"
};

// By capability; none for an agent that only advertises.
std::vector<Privilege> neededPrivileges(const AgentConfig& config);

struct Privileges {
  bool restricted = false;  // all others were given up, and no_new_privs is set
  std::vector<Privilege> kept;
  std::vector<Privilege> missing;  // needed, and not held to begin with
};

// Gives up all that `config` does not need, and logs what is kept and why. Before any thread
// starts: os::keepOnlyCapabilities().
Result<Privileges> restrictPrivileges(const AgentConfig& config, os::Log& log);

// kInvalidArgument: `config` needs one that was given up at the start.
Result<void> checkPrivileges(const Privileges& privileges, const AgentConfig& config);

}  // namespace railhead::agent

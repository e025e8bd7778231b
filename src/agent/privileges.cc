#include "src/agent/privileges.h"

#include <algorithm>
#include <map>
#include <set>

namespace railhead::agent {
namespace {

using os::Capability;

constexpr std::uint16_t kFirstFreePort = 1024;

bool holds(const std::vector<Privilege>& privileges, Capability capability) {
  return std::any_of(privileges.begin(), privileges.end(),
                     [&](const Privilege& one) { return one.capability == capability; });
}

}  // namespace

std::vector<Privilege> neededPrivileges(const AgentConfig& config) {
  std::map<Capability, std::string> needed;
  const auto need = [&](Capability capability, const char* why) {
    auto& reasons = needed[capability];
    reasons += (reasons.empty() ? "" : ", ") + std::string(why);
  };
  if (config.functions.provision) need(Capability::kNetAdmin, "set up PFs and VFs");
  if (config.functions.cni) {
    need(Capability::kNetAdmin, "move VFs into pods and address them");
    need(Capability::kSysAdmin, "enter pods' network namespaces");
  }
  const bool mig = config.functions.gpus && config.gpus.resource.mig != gpu::MigStrategy::kNone;
  if (mig) need(Capability::kSysAdmin, "list MIG devices");
  if (config.metrics && config.metrics->port != 0 && config.metrics->port < kFirstFreePort)
    need(Capability::kNetBindService, "listen on the metrics port");
  std::vector<Privilege> all;
  for (auto& [capability, why] : needed) all.push_back({capability, std::move(why)});
  return all;
}

Result<Privileges> restrictPrivileges(const AgentConfig& config, os::Log& log) {
  const auto needed = neededPrivileges(config);
  std::set<Capability> wanted;
  for (const auto& one : needed) wanted.insert(one.capability);
  RAILHEAD_TRY_ASSIGN(const auto held, os::keepOnlyCapabilities(wanted));
  Privileges privileges{true, {}, {}};
  for (const auto& one : needed) {
    const bool kept = held.contains(one.capability);
    (kept ? privileges.kept : privileges.missing).push_back(one);
    const std::string name(os::capabilityName(one.capability));
    if (kept) {
      log.info("agent", "keeps " + name + ": " + one.why);
    } else {
      log.warning("agent", "lacks " + name + ", which it needs to " + one.why);
    }
  }
  log.info("agent", "gave up every other capability");
  return privileges;
}

Result<void> checkPrivileges(const Privileges& privileges, const AgentConfig& config) {
  if (!privileges.restricted) return {};
  for (const auto& one : neededPrivileges(config)) {
    if (holds(privileges.kept, one.capability) || holds(privileges.missing, one.capability))
      continue;
    return Error(ErrorCode::kInvalidArgument, "to " + one.why + " takes " +
                                                  std::string(os::capabilityName(one.capability)) +
                                                  ", which the agent gave up at its start")
        .withRemedy("restart railhead-agent; pods keep their rails");
  }
  return {};
}

}  // namespace railhead::agent

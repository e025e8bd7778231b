#include "apps/railhead/tuned_rank.h"

#include "src/base/text.h"
#include "src/collective/host/host_compute.h"
#include "src/collective/nccl/cuda_compute.h"
#include "src/os/host_paths.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include <unistd.h>

namespace railhead::app {
namespace {

constexpr std::uint64_t kMaxMtu = 1 << 20;
constexpr std::chrono::seconds kNodesTime{60};

std::string nicText(const verbs::DeviceInfo& device) {
  if (device.software) return "soft-roce";
  char text[24];
  std::snprintf(text, sizeof text, "%04x:%04x", device.vendorId, device.partId);
  return text;
}

std::string linkText(const verbs::DeviceInfo& device) {
  return device.software || device.portRate.bitsPerSecond <= 0 ? "unknown"
                                                               : device.portRate.toString();
}

std::uint64_t mtuOf(os::Filesystem& files, const std::string& netdev) {
  const auto mtu = files.readUnsigned(os::HostPaths().sys + "/class/net/" + netdev + "/mtu");
  return mtu.has_value() ? std::min(*mtu, kMaxMtu) : 0;
}

// The smallest of the netdevs that can carry: those of the RDMA devices, else all that are up, else
// the loopback.
std::uint64_t smallestMtu(os::Filesystem& files, const std::vector<std::string>& rails) {
  const std::string folder = os::HostPaths().sys + "/class/net";
  std::vector<std::string> netdevs = rails;
  if (netdevs.empty()) {
    const auto all = files.listDirectory(folder);
    for (const auto& name : all.has_value() ? *all : std::vector<std::string>()) {
      const auto state = files.readTrimmed(folder + "/" + name + "/operstate");
      if (state.has_value() && *state == "up") netdevs.push_back(name);
    }
  }
  if (netdevs.empty()) netdevs.emplace_back("lo");
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (const auto& name : netdevs) least = std::min(least, mtuOf(files, name));
  return least;
}

void addDevices(RankSession& session, tune::RankFacts& facts) {
  std::vector<std::string> netdevs;
  for (const auto& device : session.devices()) {
    if (device.state != verbs::PortState::kActive) continue;
    facts.hcas.push_back(device.name);
    facts.nics.push_back(nicText(device));
    facts.links.push_back(linkText(device));
    const auto gid = std::find_if(device.gids.begin(), device.gids.end(),
                                  [](const auto& entry) { return !entry.netdev.empty(); });
    if (gid != device.gids.end()) netdevs.push_back(gid->netdev);
  }
  facts.mtu = smallestMtu(session.filesystem(), netdevs);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

}  // namespace

std::string hindersChoices(const std::string& plugin) {
  if (plugin.empty()) return "no tuner plugin is named";
  return ::access(plugin.c_str(), R_OK) == 0 ? "" : "no tuner plugin at " + plugin;
}

tune::RankFacts rankFacts(RankSession& session, const collective::World& world,
                          const std::string& plugin) {
  tune::RankFacts facts;
  const auto description = session.communicator().describe();
  facts.node = world.node;
  facts.backend = description.name;
  addDevices(session, facts);
  if (session.nccl() == nullptr) {
    facts.rails = description.transports.size();
    facts.overSockets = session.opened().empty();
    return facts;
  }
  const auto& device = session.nccl()->device();
  // NCCL's own notion of a node.
  if (const std::string host = variable("NCCL_HOSTID"); !host.empty()) facts.node = host;
  facts.version = description.version;
  facts.gpu = device.name;
  facts.rails = std::max<std::size_t>(1, facts.hcas.size());
  facts.overSockets = facts.hcas.empty() || variable("NCCL_IB_DISABLE") == "1";
  facts.hasGdr = device.gpuDirectRdma.value_or(false) || device.dmaBuf.value_or(false);
  facts.isIntegratedGpu = device.integrated;
  facts.noChoices = hindersChoices(plugin);
  return facts;
}

Result<std::unique_ptr<collective::Compute>> computeBeside(RankSession& session) {
  // Asked of all, so that whoever fails here fails behind it.
  const std::string& own = session.group().world().node;
  RAILHEAD_TRY_ASSIGN(const auto nodes,
                      session.group().gather(own, std::chrono::steady_clock::now() + kNodesTime));
  if (session.nccl() != nullptr) {
    RAILHEAD_TRY_ASSIGN(
        auto there, collective::CudaCompute::open(session.nccl()->context().shared_from_this()));
    return std::unique_ptr<collective::Compute>(std::move(there));
  }
  const auto here = std::count(nodes.begin(), nodes.end(), own);
  return std::unique_ptr<collective::Compute>(std::make_unique<collective::HostCompute>(
      collective::computeThreads(static_cast<int>(here))));
}

Result<std::optional<std::size_t>> countOf(const tune::Setting& setting, std::string_view knob) {
  const auto value = setting.value(knob);
  if (value == tune::kDefault) return std::optional<std::size_t>();
  const auto number = parseUnsigned(value);
  if (number && *number > 0) return std::optional<std::size_t>(*number);
  return Error(ErrorCode::kInvalidArgument,
               std::string(knob) + " " + inQuotes(value) + ": expected a whole number from 1");
}

Result<void> HostChoices::choose(const tune::Setting& choice) {
  const auto algorithm = choice.value("algorithm");
  if (algorithm == tune::kDefault) {
    host_->setDirectUpTo(usual_);
  } else if (algorithm == "ring") {
    host_->setDirectUpTo(0);
  } else if (algorithm == "direct") {
    host_->setDirectUpTo(std::numeric_limits<std::size_t>::max());
  } else {
    return Error(ErrorCode::kUnsupported, "the host backend has no " + inQuotes(algorithm));
  }
  return {};
}

}  // namespace railhead::app

#include "apps/railhead-train/rank_link.h"
#include "src/base/ip.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "src/os/host_paths.h"
#include "src/os/tcp.h"

namespace railhead::trainer_app {
namespace {

Result<std::string> ownAddress(const collective::World& world, const LinkOptions& options) {
  if (!options.rail.empty()) {
    RAILHEAD_TRY_ASSIGN(const auto given, IpAddress::parse(options.rail).addContext("--rail"));
    return given.toString();
  }
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout * 1000));
  RAILHEAD_TRY_ASSIGN(const auto master, os::resolveHost(world.masterAddress, until));
  RAILHEAD_TRY_ASSIGN(const auto own, os::ownAddressTowards(master));
  return own.toString();
}

}  // namespace

Result<std::unique_ptr<collective::Communicator>> connectHost(const collective::World& world,
                                                              const LinkOptions& options,
                                                              os::Filesystem& files,
                                                              const trainer::Gather& gather) {
  collective::HostSettings settings;
  RAILHEAD_TRY_ASSIGN(const auto address, ownAddress(world, options));
  settings.rails = {{collective::HostRail::Kind::kTcp, address, "", 1, 0}};
  // A rank may compute for long before it takes part in a call.
  settings.lanes.patience = options.patience;
  RAILHEAD_TRY_ASSIGN(auto joined, collective::HostCommunicator::connect(
                                       world.rank, world.ranks, settings, gather,
                                       std::make_unique<collective::HostMemory>(
                                           files, os::HostPaths().proc + "/meminfo")));
  return std::unique_ptr<collective::Communicator>(std::move(joined));
}

}  // namespace railhead::trainer_app

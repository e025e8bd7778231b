#include "apps/railhead-train/rank_link.h"
#include "apps/usage/command_line.h"
#include "src/bench/collectives/host_rails.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "src/os/host_paths.h"

#include <iostream>
#include <optional>

namespace railhead::trainer_app {

Result<std::unique_ptr<collective::Communicator>> connectHost(const collective::World& world,
                                                              const LinkOptions& options,
                                                              os::Filesystem& files,
                                                              RankLink& link) {
  const auto gather = link.gather();
  const bench::HostRailWish wish{
      options.transport, options.rails,
      std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout * 1000))};
  std::vector<std::string> notes;
  auto agreed = bench::agreeOnHostRails(wish, world, gather, notes);
  if (!agreed.has_value()) return agreed.error();
  for (const auto& note : notes) std::cerr << "railhead-train: note: " << note << '\n';
  collective::HostSettings settings;
  settings.rails = std::move(agreed->rails);
  // A rank may compute for long before it takes part in a call.
  settings.lanes.patience = options.patience;
  std::optional<bench::ConnectWatch> watch;
  if (agreed->verbs) {
    watch.emplace(settings.rails.size() * static_cast<std::size_t>(world.ranks),
                  [&link](const Error& error) {
                    link.fail(error);
                    usage::endWith("railhead-train", error);
                  });
  }
  RAILHEAD_TRY_ASSIGN(auto joined, collective::HostCommunicator::connect(
                                       world.rank, world.ranks, settings, gather,
                                       std::make_unique<collective::HostMemory>(
                                           files, os::HostPaths().proc + "/meminfo")));
  return std::unique_ptr<collective::Communicator>(std::move(joined));
}

}  // namespace railhead::trainer_app

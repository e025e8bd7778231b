#include "apps/railhead/rank_session.h"

#include "apps/usage/command_line.h"
#include "src/bench/collectives/host_rails.h"
#include "src/bench/rail_choice.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "src/os/host_paths.h"
#include "src/verbs/system_verbs.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace railhead::app {
namespace {

constexpr std::chrono::seconds kGatherTime{60};

os::Deadline in(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(seconds));
}

std::string memoryFile() { return os::HostPaths().proc + "/meminfo"; }

collective::NcclSettings ncclSettings(const RankOptions& options, const collective::World& world,
                                      os::Filesystem& files) {
  collective::NcclSettings settings;
  if (!options.ncclLibrary.empty()) settings.ncclLibraries = {options.ncclLibrary};
  settings.localRank = world.localRank;
  settings.memory.hostRoom = [host = std::make_shared<collective::HostMemory>(
                                  files, memoryFile())] { return host->room(); };
  return settings;
}

// The kernel sends SIGIO, whose default is to end the process, when standard input is closed at its
// other end: an ssh that is gone, a launcher that died.
Result<void> endWithStdin() {
  if (::fcntl(STDIN_FILENO, F_SETOWN, ::getpid()) != 0 ||
      ::fcntl(STDIN_FILENO, F_SETFL, O_ASYNC | O_NONBLOCK) != 0) {
    return Error::fromErrno(errno, "watch standard input");
  }
  pollfd now{STDIN_FILENO, POLLIN, 0};
  if (::poll(&now, 1, 0) > 0 && (now.revents & POLLHUP) != 0) {
    return Error(ErrorCode::kUnavailable, "standard input has ended already");
  }
  return {};
}

}  // namespace

RankSession::RankSession()
    : watch_([](const Error& error) { usage::endWith("railhead", error); }) {}

Result<std::unique_ptr<RankSession>> RankSession::open(const RankOptions& options,
                                                       const collective::World& world,
                                                       const std::string& purpose, NcclLog log,
                                                       const HostTuning& tuning) {
  std::unique_ptr<RankSession> session(new RankSession());
  session->tuning_ = tuning;
  if (options.separateHosts)
    ::setenv("NCCL_HOSTID", ("railhead-" + std::to_string(world.rank)).c_str(), 1);
  if (options.untilStdinEnds) RAILHEAD_TRY(endWithStdin());
  if (log == NcclLog::kCaptured && options.backend != "host") {
    RAILHEAD_TRY_ASSIGN(session->ncclLog_,
                        nccl::CapturedLog::begin(world.rank, os::HostPaths().proc));
  }
  RAILHEAD_TRY_ASSIGN(session->filesystem_, os::RootedFilesystem::open("/"));
  verbs::SystemVerbs verbs;
  // A machine without RDMA is an ordinary one; who needs a rail says so when it is opened.
  if (auto here = bench::devicesHere(verbs); here.has_value()) session->devices_ = std::move(*here);
  collective::GroupSettings settings;
  settings.purpose = purpose;
  settings.meetBy = in(options.timeout);
  settings.onFailure = [raw = session.get()](const Error& error) { raw->watch_.failed(error); };
  RAILHEAD_TRY_ASSIGN(session->group_, collective::Group::join(world, settings));
  const auto connected = session->connect(options, world);
  session->watch_.connected(session->communicator_.get());
  if (!connected.has_value()) {
    session->group_->fail(connected.error());
    return connected.error();
  }
  return session;
}

RankSession::~RankSession() = default;

Result<std::vector<std::string>> RankSession::gather(const std::string& own) {
  return group_->gather(own, std::chrono::steady_clock::now() + kGatherTime);
}

Result<void> RankSession::connect(const RankOptions& options, const collective::World& world) {
  auto settings = ncclSettings(options, world, *filesystem_);
  // One communicator, so that the log's lines are its own (docs/decisions/0008).
  if (ncclLog_) settings.launch = nccl::Launch::kByThread;
  RAILHEAD_TRY_ASSIGN(const bool nccl, takesNccl(options, settings));
  return nccl ? connectNccl(options, world, settings) : connectHost(options, world);
}

// The same on all ranks: NCCL where every one of them has it.
Result<bool> RankSession::takesNccl(const RankOptions& options,
                                    const collective::NcclSettings& settings) {
  if (options.backend != "auto") return options.backend == "nccl";
  RAILHEAD_TRY_ASSIGN(const auto hindrances, gather(collective::ncclHindrance(settings)));
  return std::all_of(hindrances.begin(), hindrances.end(),
                     [](const std::string& hindrance) { return hindrance.empty(); });
}

Result<void> RankSession::connectNccl(const RankOptions& options, const collective::World& world,
                                      const collective::NcclSettings& settings) {
  RAILHEAD_TRY_ASSIGN(auto joined, collective::NcclCommunicator::connect(
                                       world.rank, world.ranks, settings,
                                       [this](const std::string& own) { return gather(own); },
                                       in(options.timeout)));
  nccl_ = joined.get();
  communicator_ = std::move(joined);
  return {};
}

Result<void> RankSession::connectHost(const RankOptions& options, const collective::World& world) {
  const auto gatherTexts = [this](const std::string& own) { return gather(own); };
  const bench::HostRailWish wish{
      options.transport, options.rails,
      std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout * 1000))};
  RAILHEAD_TRY_ASSIGN(auto agreed, bench::agreeOnHostRails(wish, world, gatherTexts, notes_));
  collective::HostSettings settings;
  settings.rails = std::move(agreed.rails);
  const std::size_t rails = tuning_.rails.value_or(settings.rails.size());
  if (rails < 1 || rails > settings.rails.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "rails " + std::to_string(rails) + ": expected 1 to " +
                     std::to_string(settings.rails.size()) + ", which carry");
  }
  settings.rails.resize(rails);
  settings.lanes.pieceBytes = tuning_.pieceBytes.value_or(settings.lanes.pieceBytes);
  std::optional<bench::ConnectWatch> watch;
  if (agreed.verbs) {
    for (const auto& rail : settings.rails) opened_.push_back(rail.device);
    watch.emplace(rails * static_cast<std::size_t>(world.ranks), [this](const Error& error) {
      group_->fail(error);
      usage::endWith("railhead", error);
    });
  }
  RAILHEAD_TRY_ASSIGN(auto joined,
                      collective::HostCommunicator::connect(
                          world.rank, world.ranks, settings, gatherTexts,
                          std::make_unique<collective::HostMemory>(*filesystem_, memoryFile())));
  host_ = joined.get();
  communicator_ = std::move(joined);
  return {};
}

}  // namespace railhead::app

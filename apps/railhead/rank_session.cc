#include "apps/railhead/rank_session.h"

#include "src/base/text.h"
#include "src/bench/rail_choice.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "src/collective/host/rail_reach.h"
#include "src/os/host_paths.h"
#include "src/os/tcp.h"
#include "src/verbs/system_verbs.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace railhead::app {
namespace {

using collective::HostRail;
constexpr std::chrono::seconds kGatherTime{60};
// The kernel asks three times, a second apart, who has an address.
constexpr std::chrono::seconds kRailAnswers{5};
// More than any rank waits for what another one says, so that this is told first.
constexpr std::chrono::seconds kRailsConnect{90};
constexpr std::chrono::seconds kRailConnects{2};  // and for each rail and rank

os::Deadline in(double seconds) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
             std::chrono::duration<double>(seconds));
}

Result<std::vector<HostRail>> tcpRails(const RankOptions& options, const collective::World& world) {
  std::vector<HostRail> out;
  for (const auto& text : options.rails) {
    RAILHEAD_TRY_ASSIGN(const auto address, IpAddress::parse(text).addContext("--rail"));
    out.push_back({HostRail::Kind::kTcp, address.toString(), "", 1, 0});
  }
  if (!out.empty()) return out;
  RAILHEAD_TRY_ASSIGN(const auto master, os::resolveHost(world.masterAddress, in(options.timeout)));
  RAILHEAD_TRY_ASSIGN(const auto own, os::ownAddressTowards(master));
  return std::vector<HostRail>{{HostRail::Kind::kTcp, own.toString(), "", 1, 0}};
}

Result<std::vector<bench::RailChoice>> verbsRails(const RankOptions& options) {
  std::vector<bench::RailRequest> requests;
  for (const auto& text : options.transport == "tcp" ? std::vector<std::string>() : options.rails) {
    RAILHEAD_TRY_ASSIGN(auto request, bench::RailRequest::parse(text));
    requests.push_back(std::move(request));
  }
  verbs::SystemVerbs verbs;
  return bench::chooseRails(verbs, requests);
}

std::vector<HostRail> hostRails(const std::vector<bench::RailChoice>& choices) {
  std::vector<HostRail> out;
  for (const auto& choice : choices) {
    out.push_back({HostRail::Kind::kVerbs, choice.gid.gid.ip().toString(), choice.device.name, 1,
                   static_cast<int>(choice.gid.index)});
  }
  return out;
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

// Ends this process, and tells the others why, when what it guards is not over in time: Gloo's
// connecting cannot be called off.
class EndUnlessOver {
 public:
  EndUnlessOver(collective::Group& group, std::chrono::seconds time)
      : thread_([this, &group, time](const std::stop_token& over) {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, over, time, [&] { return over.stop_requested(); })) return;
          const Error error(
              ErrorCode::kDeadlineExceeded,
              "the rails were not connected within " + std::to_string(time.count()) + " s",
              "check the rails' MTU and GIDs and that UDP port 4791 passes, or take --transport "
              "tcp");
          group.fail(error);
          std::cerr << "railhead: " << error.message << "\n  remedy: " << error.remedy << std::endl;
          std::_Exit(static_cast<int>(exitCodeFor(error.code)));
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;  // last: it ends first
};

}  // namespace

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
  RAILHEAD_TRY_ASSIGN(session->group_, collective::Group::join(world, settings));
  const auto connected = session->connect(options, world);
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

// Of the rails that the machine offers those that carry; all of those that were asked for, or none.
Result<std::vector<HostRail>> RankSession::carryingRails(std::vector<HostRail> rails,
                                                         const RankOptions& options,
                                                         const collective::World& world) {
  RAILHEAD_TRY_ASSIGN(
      const auto hindrances,
      collective::railHindrances(world.rank, world.ranks, rails, kRailAnswers,
                                 [this](const std::string& own) { return gather(own); }));
  std::vector<HostRail> carrying;
  for (std::size_t i = 0; i < rails.size(); ++i) {
    if (hindrances[i].empty()) {
      carrying.push_back(std::move(rails[i]));
    } else {
      notes_.push_back("rail " + rails[i].device + " does not carry " + hindrances[i]);
    }
  }
  if (notes_.empty() || (options.rails.empty() && !carrying.empty())) return carrying;
  return Error(ErrorCode::kCheckFailed, join(notes_, "; "),
               "check the cable, the port's state and the addresses: railhead doctor");
}

// The rails of every rank, where every rank has some; none: TCP for all. What is missing where is
// said, as an Error unless TCP may stand in.
Result<std::vector<HostRail>> RankSession::agreedRails(const RankOptions& options,
                                                       const collective::World& world) {
  auto choices = verbsRails(options);
  RAILHEAD_TRY_ASSIGN(const auto lacks, gather(choices.has_value() ? "" : choices.error().message));
  std::size_t without = 0;
  for (std::size_t rank = 0; rank < lacks.size(); ++rank) {
    if (lacks[rank].empty()) continue;
    ++without;
    notes_.push_back("rank " + std::to_string(rank) + " has no rail: " + lacks[rank]);
  }
  if (without == 0) return carryingRails(hostRails(*choices), options, world);
  if (options.transport == "auto" && options.rails.empty()) {
    if (without == lacks.size()) notes_.clear();  // a machine without RDMA is an ordinary one
    return std::vector<HostRail>();
  }
  if (!choices.has_value()) return choices.error();
  return Error(ErrorCode::kEnvironment, join(notes_, "; "),
               "give each of these ranks a rail, or take --transport tcp");
}

Result<void> RankSession::connectHost(const RankOptions& options, const collective::World& world) {
  collective::HostSettings settings;
  if (options.transport != "tcp") {
    RAILHEAD_TRY_ASSIGN(settings.rails, agreedRails(options, world));
  }
  const bool verbs = !settings.rails.empty();
  if (!verbs) {
    RAILHEAD_TRY_ASSIGN(settings.rails, tcpRails(options, world));
  }
  const std::size_t rails = tuning_.rails.value_or(settings.rails.size());
  if (rails < 1 || rails > settings.rails.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "rails " + std::to_string(rails) + ": expected 1 to " +
                     std::to_string(settings.rails.size()) + ", which carry");
  }
  settings.rails.resize(rails);
  settings.lanes.pieceBytes = tuning_.pieceBytes.value_or(settings.lanes.pieceBytes);
  std::optional<EndUnlessOver> guard;
  if (verbs) {
    for (const auto& rail : settings.rails) opened_.push_back(rail.device);
    const auto pairs = rails * static_cast<std::size_t>(world.ranks);
    guard.emplace(*group_, kRailsConnect + kRailConnects * static_cast<int>(pairs));
  }
  RAILHEAD_TRY_ASSIGN(
      auto joined,
      collective::HostCommunicator::connect(
          world.rank, world.ranks, settings, [this](const std::string& own) { return gather(own); },
          std::make_unique<collective::HostMemory>(*filesystem_, memoryFile())));
  host_ = joined.get();
  communicator_ = std::move(joined);
  return {};
}

}  // namespace railhead::app

#include "src/bench/collectives/host_rails.h"

#include "src/base/ip.h"
#include "src/base/text.h"
#include "src/bench/rail_choice.h"
#include "src/collective/host/rail_reach.h"
#include "src/os/tcp.h"
#include "src/verbs/system_verbs.h"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace railhead::bench {
namespace {

using collective::HostRail;

// The kernel asks three times, a second apart, who has an address.
constexpr std::chrono::seconds kRailAnswers{5};
// More than any rank waits for what another one says, so that this is told first.
constexpr std::chrono::seconds kRailsConnect{90};
constexpr std::chrono::seconds kRailConnects{2};  // and for each rail and rank

Result<std::vector<HostRail>> tcpRails(const HostRailWish& wish, const collective::World& world) {
  std::vector<HostRail> out;
  for (const auto& text : wish.rails) {
    RAILHEAD_TRY_ASSIGN(const auto address, IpAddress::parse(text).addContext("--rail"));
    out.push_back({HostRail::Kind::kTcp, address.toString(), "", 1, 0});
  }
  if (!out.empty()) return out;
  RAILHEAD_TRY_ASSIGN(
      const auto master,
      os::resolveHost(world.masterAddress, std::chrono::steady_clock::now() + wish.resolve));
  RAILHEAD_TRY_ASSIGN(const auto own, os::ownAddressTowards(master));
  return std::vector<HostRail>{{HostRail::Kind::kTcp, own.toString(), "", 1, 0}};
}

Result<std::vector<HostRail>> verbsRails(const HostRailWish& wish) {
  std::vector<RailRequest> requests;
  for (const auto& text : wish.rails) {
    RAILHEAD_TRY_ASSIGN(auto request, RailRequest::parse(text));
    requests.push_back(std::move(request));
  }
  verbs::SystemVerbs verbs;
  RAILHEAD_TRY_ASSIGN(const auto choices, chooseRails(verbs, requests));
  std::vector<HostRail> out;
  for (const auto& choice : choices) {
    out.push_back({HostRail::Kind::kVerbs, choice.gid.gid.ip().toString(), choice.device.name, 1,
                   static_cast<int>(choice.gid.index)});
  }
  return out;
}

// Of the rails that the machine offers those that carry; all of those that were asked for, or none.
Result<std::vector<HostRail>> carryingRails(std::vector<HostRail> rails, const HostRailWish& wish,
                                            const collective::World& world,
                                            const collective::Gather& gather,
                                            std::vector<std::string>& notes) {
  RAILHEAD_TRY_ASSIGN(
      const auto hindrances,
      collective::railHindrances(world.rank, world.ranks, rails, kRailAnswers, gather));
  std::vector<HostRail> carrying;
  for (std::size_t i = 0; i < rails.size(); ++i) {
    if (hindrances[i].empty()) {
      carrying.push_back(std::move(rails[i]));
    } else {
      notes.push_back("rail " + rails[i].device + " does not carry " + hindrances[i]);
    }
  }
  if (notes.empty() || (wish.rails.empty() && !carrying.empty())) return carrying;
  return Error(ErrorCode::kCheckFailed, join(notes, "; "),
               "check the cable, the port's state and the addresses: railhead doctor");
}

// The rails of every rank, where every rank has some; none: TCP for all. What is missing where is
// said, as an Error unless TCP may stand in.
Result<std::vector<HostRail>> agreedRails(const HostRailWish& wish, const collective::World& world,
                                          const collective::Gather& gather,
                                          std::vector<std::string>& notes) {
  auto own = verbsRails(wish);
  RAILHEAD_TRY_ASSIGN(const auto lacks, gather(own.has_value() ? "" : own.error().message));
  std::size_t without = 0;
  for (std::size_t rank = 0; rank < lacks.size(); ++rank) {
    if (lacks[rank].empty()) continue;
    ++without;
    notes.push_back("rank " + std::to_string(rank) + " has no rail: " + lacks[rank]);
  }
  if (without == 0) return carryingRails(std::move(*own), wish, world, gather, notes);
  if (wish.transport == "auto" && wish.rails.empty()) {
    if (without == lacks.size()) notes.clear();  // a machine without RDMA is an ordinary one
    return std::vector<HostRail>();
  }
  if (!own.has_value()) return own.error();
  return Error(ErrorCode::kEnvironment, join(notes, "; "),
               "give each of these ranks a rail, or take --transport tcp");
}

}  // namespace

Result<HostRails> agreeOnHostRails(const HostRailWish& wish, const collective::World& world,
                                   const collective::Gather& gather,
                                   std::vector<std::string>& notes) {
  HostRails out;
  if (wish.transport != "tcp") {
    RAILHEAD_TRY_ASSIGN(out.rails, agreedRails(wish, world, gather, notes));
  }
  out.verbs = !out.rails.empty();
  if (!out.verbs) {
    RAILHEAD_TRY_ASSIGN(out.rails, tcpRails(wish, world));
  }
  return out;
}

ConnectWatch::ConnectWatch(std::size_t pairs, std::function<void(const Error&)> late)
    : thread_([time = kRailsConnect + kRailConnects * static_cast<int>(pairs),
               late = std::move(late)](const std::stop_token& over) {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::unique_lock lock(mutex);
        if (changed.wait_for(lock, over, time, [&] { return over.stop_requested(); })) return;
        late(Error(ErrorCode::kDeadlineExceeded,
                   "the rails were not connected within " + std::to_string(time.count()) + " s",
                   "check the rails' MTU and GIDs and that UDP port 4791 passes, or take "
                   "--transport tcp"));
      }) {}

}  // namespace railhead::bench

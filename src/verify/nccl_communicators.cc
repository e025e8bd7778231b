// To which communicator a channel of the log belongs.
#include "src/base/random.h"
#include "src/verify/nccl_log.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <span>

namespace railhead::verify {
namespace {

constexpr std::size_t kMaxMemberships = 64;
constexpr std::size_t kMaxThreads = 64;

std::uint64_t folded(std::initializer_list<std::uint64_t> parts) {
  std::vector<std::uint8_t> bytes(parts.size() * sizeof(std::uint64_t));
  std::memcpy(bytes.data(), std::data(parts), bytes.size());
  return stableHash(bytes);
}

}  // namespace

std::int32_t NcclLog::newCommunicator(std::uint64_t identity, int rankCount, bool named) {
  if (communicators_.size() >= bounds_.communicators) return -1;
  auto& made = communicators_.emplace_back();
  made.identity = identity;
  made.told.rankCount = rankCount;
  made.told.named = named;
  return static_cast<std::int32_t>(communicators_.size() - 1);
}

// The same processes in the same order, all of them told: to which of these a channel belongs makes
// no difference.
bool NcclLog::alike(const std::vector<std::int32_t>& communicators) const {
  const auto toldOf = [&](std::int32_t each) -> const LoggedCommunicator& {
    return communicators_[static_cast<std::size_t>(each)].told;
  };
  const auto& first = toldOf(communicators.front());
  if (first.processes.size() != static_cast<std::size_t>(first.rankCount)) return false;
  return std::all_of(communicators.begin(), communicators.end(), [&](std::int32_t each) {
    return toldOf(each).rankCount == first.rankCount && toldOf(each).processes == first.processes;
  });
}

std::vector<std::int32_t> NcclLog::resolved() const {
  std::vector<std::int32_t> named, all(communicators_.size());
  for (std::size_t i = 0; i < communicators_.size(); ++i) {
    if (communicators_[i].told.named) named.push_back(static_cast<std::int32_t>(i));
  }
  std::map<std::vector<std::int32_t>, bool> known;  // many processes ask the same
  for (std::size_t i = 0; i < communicators_.size(); ++i) {
    const auto& each = communicators_[i];
    all[i] = each.same >= 0 ? each.same : static_cast<std::int32_t>(i);
    if (each.same >= 0 || each.told.named) continue;
    // A process that told of none, as when Ray leaves its lines out, is in the only one there is.
    const bool unheard = states_[each.process].memberships.empty();
    if (unheard && named.size() == 1 &&
        each.highestRank < communicators_[static_cast<std::size_t>(named[0])].told.rankCount) {
      all[i] = named[0];
    } else if (each.maybe.size() > 1) {
      const auto [found, isNew] = known.try_emplace(each.maybe, false);
      if (isNew) found->second = alike(each.maybe);
      if (found->second) all[i] = each.maybe.front();
    }
  }
  return all;
}

void NcclLog::init(const LogMessage& message, const InitLine& line) {
  const auto process = processOf(message);
  if (!process) return;
  auto& state = states_[*process];
  std::uint64_t identity = 0;
  if (line.commId) {
    identity = folded({*line.commId, 1});
  } else {
    // The parent's pointer means something in this process alone, what it stands for in all.
    std::uint64_t parent = 0;
    for (const auto& each : state.memberships) {
      if (each.pointer == line.parent) {
        parent = communicators_[static_cast<std::size_t>(each.communicator)].identity;
      }
    }
    identity = folded({parent, static_cast<std::uint64_t>(line.splitCount),
                       static_cast<std::uint64_t>(line.color), 2});
  }
  auto found = communicatorIndex_.find({identity, line.rankCount});
  if (found == communicatorIndex_.end()) {
    const auto made = newCommunicator(identity, line.rankCount, true);
    if (made < 0) return;
    found = communicatorIndex_.emplace(std::pair(identity, line.rankCount), made).first;
  }
  const std::int32_t communicator = found->second;
  communicators_[static_cast<std::size_t>(communicator)].told.processes[line.rank] = *process;
  auto known = std::find_if(state.memberships.begin(), state.memberships.end(), [&](auto& each) {
    return each.communicator == communicator && each.rank == line.rank;
  });
  if (known == state.memberships.end()) {
    if (state.memberships.size() == kMaxMemberships) return;
    state.memberships.push_back({communicator, line.rank, line.rankCount, line.comm});
    known = std::prev(state.memberships.end());
    // 2.18.1 tells of a communicator when it is complete, after its channels.
    if (line.complete && state.memberships.size() == 1) {
      for (const auto& [maybe, unnamed] : state.unnamed) {
        communicators_[static_cast<std::size_t>(unnamed)].same = communicator;
      }
      state.unnamed.clear();
    }
  }
  if (line.complete) {
    state.opening.erase(message.tid);
  } else if (state.opening.size() < kMaxThreads) {
    state.opening[message.tid] =
        static_cast<std::size_t>(std::distance(state.memberships.begin(), known));
  }
}

// A channel line does not name its communicator. The thread that makes one is known; otherwise
// the only one of the process in which it has this rank.
std::int32_t NcclLog::communicatorOf(std::uint32_t process, std::uint64_t tid,
                                     const ChannelLine& line) {
  auto& state = states_[process];
  const int own = line.side == Side::kSend ? line.from : line.to;
  const auto fits = [&](const Membership& each) {
    return each.rank == own && std::max(line.from, line.to) < each.rankCount;
  };
  const auto opening = state.opening.find(tid);
  if (opening != state.opening.end() && fits(state.memberships[opening->second])) {
    return state.memberships[opening->second].communicator;
  }
  std::vector<std::int32_t> maybe;
  for (const auto& each : state.memberships) {
    if (fits(each)) maybe.push_back(each.communicator);
  }
  if (maybe.size() == 1) return maybe.front();
  std::sort(maybe.begin(), maybe.end());  // each process has its own order
  auto found = state.unnamed.find(maybe);
  if (found == state.unnamed.end()) {
    const std::int32_t made = newCommunicator(0, 0, false);
    if (made < 0) return made;
    auto& unnamed = communicators_[static_cast<std::size_t>(made)];
    unnamed.process = process;
    unnamed.maybe = maybe;
    unnamed.told.ambiguous = maybe.size() > 1;
    found = state.unnamed.emplace(std::move(maybe), made).first;
  }
  auto& highest = communicators_[static_cast<std::size_t>(found->second)].highestRank;
  highest = std::max({highest, line.from, line.to});
  return found->second;
}

std::vector<std::uint32_t> NcclLog::places(const std::vector<std::int32_t>& resolved) const {
  std::vector<std::uint32_t> places(communicators_.size(), 0);
  std::uint32_t next = 0;
  std::optional<std::uint32_t> unnamed;  // all of them are told as one
  for (std::size_t i = 0; i < communicators_.size(); ++i) {
    if (resolved[i] != static_cast<std::int32_t>(i)) continue;
    if (communicators_[i].told.named) {
      places[i] = next++;
    } else {
      if (!unnamed) unnamed = next++;
      places[i] = *unnamed;
    }
  }
  for (std::size_t i = 0; i < communicators_.size(); ++i) {
    places[i] = places[static_cast<std::size_t>(resolved[i])];
  }
  return places;
}

std::vector<LoggedCommunicator> NcclLog::communicators() const {
  const auto same = resolved();
  const auto place = places(same);
  std::vector<LoggedCommunicator> all;
  for (std::size_t i = 0; i < communicators_.size(); ++i) {
    const auto& each = communicators_[i];
    if (same[i] != static_cast<std::int32_t>(i)) continue;
    if (place[i] == all.size()) {
      all.push_back(each.told);
    } else {
      all[place[i]].ambiguous = all[place[i]].ambiguous || each.told.ambiguous;
    }
  }
  return all;
}

}  // namespace railhead::verify

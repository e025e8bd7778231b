// Rank 0's end of a gang.
#include "src/base/text.h"
#include "src/collective/group_link.h"
#include "src/os/tcp.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace railhead::collective {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kIntroductionTime{2};

class Hub final : public LinkedGroup {
 public:
  static Result<std::unique_ptr<Group>> open(const World& world, const GroupSettings& settings,
                                             std::vector<std::unique_ptr<Link>> links) {
    std::unique_ptr<Hub> hub(new Hub(world, settings, std::move(links)));
    RAILHEAD_TRY(hub->start(Clock::now()));
    return Result<std::unique_ptr<Group>>(std::move(hub));
  }
  ~Hub() override { stop(); }

  Result<std::vector<std::string>> gather(std::string_view own, os::Deadline deadline) override;

 private:
  Hub(const World& world, const GroupSettings& settings, std::vector<std::unique_ptr<Link>> links)
      : LinkedGroup(world, settings, std::move(links)),
        parts_(static_cast<std::size_t>(world.ranks)) {}
  bool received(Link& from, Frame frame) override;
  bool complete() const {
    return std::all_of(parts_.begin(), parts_.end(), [](const auto& p) { return p.has_value(); });
  }
  // Whose part is missing and will not come: it said farewell.
  const Link* absent() const {
    for (const auto& link : links()) {
      if (link->left && !parts_[static_cast<std::size_t>(link->rank())]) return link.get();
    }
    return nullptr;
  }
  std::string missing() const {
    std::vector<std::string> names;
    for (const auto& link : links()) {
      if (!parts_[static_cast<std::size_t>(link->rank())]) names.push_back(link->name());
    }
    return railhead::join(names, ", ");
  }

  // Guarded by mutex_. A rank cannot be a round ahead: it waits for the whole of this one.
  std::uint32_t round_ = 0;
  std::vector<std::optional<std::string>> parts_;
};

bool Hub::received(Link& from, Frame frame) {
  {
    const std::lock_guard lock(mutex_);
    auto& part = parts_[static_cast<std::size_t>(from.rank())];
    const bool wrong = frame.kind != FrameKind::kPart || frame.round != round_ || part.has_value();
    if (wrong) return false;
    part = std::move(frame.texts.front());
  }
  changed_.notify_all();
  return true;
}

Result<std::vector<std::string>> Hub::gather(std::string_view own, os::Deadline deadline) {
  if (own.size() > kMaxText) return Error(ErrorCode::kInternal, "a text too long to gather");
  Frame whole{FrameKind::kWhole, 0, {}};
  {
    std::unique_lock lock(mutex_);
    parts_[0] = std::string(own);
    changed_.wait_until(lock, deadline, [&] { return failure_ || complete() || absent(); });
    if (failure_) return *failure_;
    if (!complete()) {
      const Link* left = absent();
      return left != nullptr
                 ? Error(ErrorCode::kUnavailable, left->name() + " has left the gang")
                 : Error(ErrorCode::kDeadlineExceeded, "no answer in time from " + missing());
    }
    whole.round = round_++;
    for (auto& part : parts_) whole.texts.push_back(*std::exchange(part, std::nullopt));
  }
  for (const auto& link : links()) {
    if (link->left) continue;
    RAILHEAD_TRY(link->send(whole).addContext(link->name()));
  }
  return std::move(whole.texts);
}

// What happened at the door.
struct Door {
  std::vector<std::unique_ptr<Link>> links;
  std::vector<bool> present;
  std::size_t turnedAway = 0;
  std::string lastRefusal;
};

std::string objection(const Introduction& theirs, const World& world, const std::string& purpose,
                      const Door& door) {
  if (theirs.purpose != purpose) {
    return "this gang runs '" + purpose + "', the peer " + inQuotes(theirs.purpose, 40);
  }
  if (theirs.token != world.token) return "wrong token";
  if (theirs.ranks != world.ranks) {
    return "this gang has " + std::to_string(world.ranks) + " ranks, the peer's " +
           std::to_string(theirs.ranks);
  }
  if (door.present[static_cast<std::size_t>(theirs.rank)]) {
    return "rank " + std::to_string(theirs.rank) + " is there already";
  }
  return "";
}

Result<void> admit(os::Accepted caller, const World& world, const GroupSettings& settings,
                   Door& door) {
  const auto limit = std::min(settings.meetBy, Clock::now() + kIntroductionTime);
  const auto text = os::receiveFrame(caller.fd.get(), limit, kMaxIntroduction);
  const auto theirs =
      text.has_value() ? decodeIntroduction(*text) : Result<Introduction>(text.error());
  const std::string refusal = theirs.has_value() ? objection(*theirs, world, settings.purpose, door)
                                                 : "not a railhead rank: " + theirs.error().message;
  if (refusal.empty()) {
    RAILHEAD_TRY(os::sendFrame(caller.fd.get(), kWelcome, limit));
    door.present[static_cast<std::size_t>(theirs->rank)] = true;
    door.links.push_back(std::make_unique<Link>(std::move(caller.fd), theirs->rank, theirs->node));
    return {};
  }
  ++door.turnedAway;
  door.lastRefusal = caller.peer + ", " + refusal;
  // The other end may be gone already; then there is nobody to tell.
  (void)os::sendFrame(caller.fd.get(), std::string(kRefused) + refusal, limit);
  return {};
}

Error nobodyCame(const World& world, const Door& door) {
  std::vector<std::string> absent;
  for (std::size_t i = 1; i < door.present.size() && absent.size() < 8; ++i) {
    if (!door.present[i]) absent.push_back(std::to_string(i));
  }
  std::string message = "rank " + railhead::join(absent, ", ") + " of " +
                        std::to_string(world.ranks) + " did not come to " + world.masterAddress +
                        ":" + std::to_string(world.masterPort);
  if (door.turnedAway > 0) {
    message +=
        "; turned away " + std::to_string(door.turnedAway) + ", the last: " + door.lastRefusal;
  }
  return Error(ErrorCode::kEnvironment, message,
               "start every rank with the same WORLD_SIZE, MASTER_ADDR, MASTER_PORT and token");
}

// On the address that the others were told, or, where that is not this machine's own (a forwarded
// one), on every address.
Result<os::UniqueFd> openDoor(const World& world, const GroupSettings& settings) {
  RAILHEAD_TRY_ASSIGN(const IpAddress address,
                      os::resolveHost(world.masterAddress, settings.meetBy));
  auto door = os::listenTcp({address, world.masterPort});
  if (door.has_value() || door.error().errnoValue != EADDRNOTAVAIL) return door;
  IpAddress any;
  any.v6 = address.v6;
  return os::listenTcp({any, world.masterPort});
}

}  // namespace

Result<std::unique_ptr<Group>> joinAsHub(const World& world, const GroupSettings& settings) {
  if (world.ranks == 1) return Hub::open(world, settings, {});
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd listener, openDoor(world, settings));
  Door door;
  door.present.assign(static_cast<std::size_t>(world.ranks), false);
  door.present[0] = true;
  while (door.links.size() + 1 < static_cast<std::size_t>(world.ranks)) {
    auto caller = os::acceptTcp(listener.get(), settings.meetBy);
    if (!caller.has_value()) {
      if (caller.error().code != ErrorCode::kDeadlineExceeded) return caller.error();
      const Error error = nobodyCame(world, door);
      for (const auto& link : door.links) {
        (void)link->send({FrameKind::kFailure, 0, {error.message}});  // or it left by itself
      }
      return error;
    }
    RAILHEAD_TRY(admit(std::move(*caller), world, settings, door));
  }
  return Hub::open(world, settings, std::move(door.links));
}

}  // namespace railhead::collective

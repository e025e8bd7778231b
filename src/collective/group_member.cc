// The other ranks' end of a gang.
#include "src/base/text.h"
#include "src/collective/group_link.h"
#include "src/os/tcp.h"

#include <utility>

namespace railhead::collective {
namespace {

class Member final : public LinkedGroup {
 public:
  static Result<std::unique_ptr<Group>> open(const World& world, const GroupSettings& settings,
                                             std::unique_ptr<Link> hub) {
    std::vector<std::unique_ptr<Link>> links;
    links.push_back(std::move(hub));
    std::unique_ptr<Member> member(new Member(world, settings, std::move(links)));
    RAILHEAD_TRY(member->start(settings.meetBy));
    return Result<std::unique_ptr<Group>>(std::move(member));
  }
  ~Member() override { stop(); }

  Result<std::vector<std::string>> gather(std::string_view own, os::Deadline deadline) override;

 private:
  Member(const World& world, const GroupSettings& settings,
         std::vector<std::unique_ptr<Link>> links)
      : LinkedGroup(world, settings, std::move(links)) {}
  bool received(Link& from, Frame frame) override;
  Link& hub() const { return *links().front(); }

  // Guarded by mutex_.
  std::uint32_t round_ = 0;
  std::optional<std::vector<std::string>> whole_;
};

bool Member::received(Link&, Frame frame) {
  {
    const std::lock_guard lock(mutex_);
    const bool wrong = frame.kind != FrameKind::kWhole || frame.round != round_ ||
                       whole_.has_value() ||
                       frame.texts.size() != static_cast<std::size_t>(world().ranks);
    if (wrong) return false;
    whole_ = std::move(frame.texts);
  }
  changed_.notify_all();
  return true;
}

Result<std::vector<std::string>> Member::gather(std::string_view own, os::Deadline deadline) {
  if (own.size() > kMaxText) return Error(ErrorCode::kInternal, "a text too long to gather");
  Frame part{FrameKind::kPart, 0, {std::string(own)}};
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    part.round = round_;
  }
  const auto sent = hub().send(part);
  std::unique_lock lock(mutex_);
  // When sending failed the thread is about to learn why; its reason is the better one.
  changed_.wait_until(lock, deadline, [&] { return failure_ || whole_ || hub().left; });
  // What all said counts, also where one of them gave up over it a moment later.
  if (whole_) {
    ++round_;
    return std::move(*std::exchange(whole_, std::nullopt));
  }
  if (failure_) return *failure_;
  if (hub().left) return Error(ErrorCode::kUnavailable, hub().name() + " has left the gang");
  RAILHEAD_TRY(Result<void>(sent).addContext(hub().name()));
  return Error(ErrorCode::kDeadlineExceeded, "no answer in time from " + hub().name());
}

std::string where(const World& world) {
  return "rank 0 at " + world.masterAddress + ":" + std::to_string(world.masterPort);
}

Error noHub(const World& world, const Error& why) {
  return Error(ErrorCode::kEnvironment, "no answer from " + where(world) + ": " + why.message,
               "start rank 0 there, and check that this node can reach it");
}

}  // namespace

Result<std::unique_ptr<Group>> joinAsMember(const World& world, const GroupSettings& settings) {
  RAILHEAD_TRY_ASSIGN(const IpAddress address,
                      os::resolveHost(world.masterAddress, settings.meetBy));
  auto fd = os::connectTcp({address, world.masterPort}, settings.meetBy);
  if (!fd.has_value()) return noHub(world, fd.error());
  const Introduction own{settings.purpose, world.token, world.ranks, world.rank, world.node};
  const auto sent = os::sendFrame(fd->get(), encodeIntroduction(own), settings.meetBy);
  if (!sent.has_value()) return noHub(world, sent.error());
  const auto answer = os::receiveFrame(fd->get(), settings.meetBy, kMaxIntroduction);
  if (!answer.has_value()) return noHub(world, answer.error());
  if (answer->starts_with(kRefused)) {
    return Error(ErrorCode::kPermissionDenied,
                 where(world) + " refused: " +
                     inQuotes(std::string_view(*answer).substr(kRefused.size()), 200),
                 "give every rank the same token, WORLD_SIZE and version, and a rank of its own");
  }
  if (*answer != kWelcome) {
    return noHub(world, Error(ErrorCode::kCorrupt, "what listens there is no railhead rank"));
  }
  return Member::open(world, settings, std::make_unique<Link>(std::move(*fd), 0, ""));
}

}  // namespace railhead::collective

#include "src/collective/group_link.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace railhead::collective {
namespace {

using Clock = std::chrono::steady_clock;
// For a frame that has begun, or that the peer's buffer has no room for.
constexpr std::chrono::seconds kFrameTime{5};

}  // namespace

std::string rankName(int rank, const std::string& node) {
  return "rank " + std::to_string(rank) + (node.empty() ? "" : " (node " + node + ")");
}

std::string Link::name() const { return rankName(rank_, node_); }

Result<void> Link::send(const Frame& frame) {
  const std::lock_guard lock(sending_);
  return os::sendFrame(fd_.get(), encodeFrame(frame), Clock::now() + kFrameTime);
}

Result<Frame> Link::receive(std::size_t maxBytes) {
  RAILHEAD_TRY_ASSIGN(const std::string bytes,
                      os::receiveFrame(fd_.get(), Clock::now() + kFrameTime, maxBytes));
  return decodeFrame(bytes);
}

LinkedGroup::LinkedGroup(World world, GroupSettings settings,
                         std::vector<std::unique_ptr<Link>> links)
    : world_(std::move(world)), settings_(std::move(settings)), links_(std::move(links)) {}

LinkedGroup::~LinkedGroup() { stop(); }

Result<void> LinkedGroup::start(Clock::time_point hearBy) {
  wake_ = os::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return Error::fromErrno(errno, "make an event descriptor");
  for (const auto& link : links_) link->lastHeard = hearBy;
  thread_ = std::thread([this] { run(); });
  return {};
}

void LinkedGroup::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);  // a counter that is set already wakes as well
  thread_.join();
  if (failure().has_value()) return;
  for (const auto& link : links_) {
    if (!link->left) (void)link->send({FrameKind::kFarewell, 0, {}});  // or it is gone itself
  }
}

std::optional<Error> LinkedGroup::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void LinkedGroup::fail(const Error& error) {
  end(Error(ErrorCode::kUnavailable,
            rankName(world_.rank, world_.node) + " gave up: " + error.describe()),
      nullptr);
}

bool LinkedGroup::end(const Error& error, const Link* except) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return false;
    failure_ = error;
  }
  changed_.notify_all();
  const Frame frame{FrameKind::kFailure, 0, {error.message.substr(0, kMaxText)}};
  for (const auto& link : links_) {
    // One that cannot be told is gone or will hear the silence.
    if (link.get() != except && !link->left) (void)link->send(frame);
  }
  return true;
}

void LinkedGroup::lose(Link& link, const std::string& why) {
  link.left = true;
  giveUp(Error(ErrorCode::kUnavailable, link.name() + " is gone: " + why), &link);
}

void LinkedGroup::giveUp(const Error& error, const Link* except) {
  if (end(error, except) && settings_.onFailure) settings_.onFailure(error);
}

void LinkedGroup::hear(Link& link) {
  auto frame = link.receive(maxFrameBytes(world_.ranks));
  if (!frame.has_value()) return lose(link, frame.error().message);
  link.lastHeard = Clock::now();
  switch (frame->kind) {
    case FrameKind::kHeartbeat:
      return;
    case FrameKind::kFarewell: {
      {
        const std::lock_guard lock(mutex_);  // who waits is not between its look and its sleep
        link.left = true;
      }
      changed_.notify_all();
      return;
    }
    case FrameKind::kFailure:
      return giveUp(Error(ErrorCode::kUnavailable, frame->texts.front()), &link);
    case FrameKind::kPart:
    case FrameKind::kWhole:
      if (received(link, std::move(*frame))) return;
      giveUp(Error(ErrorCode::kCorrupt, link.name() + " spoke out of turn"), nullptr);
  }
}

void LinkedGroup::beat(Clock::time_point now) {
  const auto interval = std::min<Clock::duration>(settings_.silence / 4, std::chrono::seconds(1));
  if (now - lastBeat_ >= interval) {
    lastBeat_ = now;
    for (const auto& link : links_) {
      if (!link->left) (void)link->send({FrameKind::kHeartbeat, 0, {}});
    }
  }
  for (const auto& link : links_) {
    if (!link->left && now - link->lastHeard > settings_.silence) {
      lose(*link,
           "nothing was heard of it for " + std::to_string(settings_.silence.count()) + " ms");
    }
  }
}

void LinkedGroup::run() {
  const auto step = std::chrono::ceil<std::chrono::milliseconds>(
      std::min<Clock::duration>(settings_.silence / 8, std::chrono::milliseconds(500)));
  std::vector<pollfd> waiting;
  std::vector<Link*> who;
  while (!stopping_) {
    waiting.assign(1, {wake_.get(), POLLIN, 0});
    who.assign(1, nullptr);
    for (const auto& link : links_) {
      if (link->left) continue;
      waiting.push_back({link->fd(), POLLIN, 0});
      who.push_back(link.get());
    }
    const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(step.count()));
    for (std::size_t i = 1; ready > 0 && i < waiting.size(); ++i) {
      if (waiting[i].revents != 0) hear(*who[i]);
    }
    beat(Clock::now());
  }
}

}  // namespace railhead::collective

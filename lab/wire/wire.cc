#include "lab/wire/wire.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

namespace railhead::lab {
namespace {

constexpr std::uint64_t kTimerTag = ~0ULL;
constexpr std::uint64_t kWakeTag = ~0ULL - 1;
constexpr int kSocketBuffer = 64 * 1024;

Result<void> watch(int epoll, int fd, std::uint32_t events, std::uint64_t tag, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) {
    return Error::fromErrno(errno, "watch a link's socket");
  }
  return {};
}

void drain(int fd) {
  std::uint64_t count = 0;
  while (::read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<WirePatch> makeWirePatch() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) != 0) {
    return Error::fromErrno(errno, "socketpair for a link");
  }
  for (const int fd : fds) {
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  }
  return WirePatch{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

Result<std::unique_ptr<Wire>> Wire::start(std::vector<LinkPlan> plans, std::uint64_t seed) {
  std::unique_ptr<Wire> wire(new Wire());
  RAILHEAD_TRY(wire->open(std::move(plans), seed));
  // Signals are the owner's business: none may land on this thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  wire->thread_ = std::thread([raw = wire.get()] { raw->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return wire;
}

Wire::~Wire() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (wake_) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }
  if (thread_.joinable()) thread_.join();
}

Result<void> Wire::open(std::vector<LinkPlan> plans, std::uint64_t seed) {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !timer_ || !wake_) return Error::fromErrno(errno, "open the wire's event sources");
  RAILHEAD_TRY(watch(epoll_.get(), timer_.get(), EPOLLIN, kTimerTag, EPOLL_CTL_ADD));
  RAILHEAD_TRY(watch(epoll_.get(), wake_.get(), EPOLLIN, kWakeTag, EPOLL_CTL_ADD));
  for (auto& plan : plans) {
    links_.emplace_back(plan.name, plan.settings, std::move(plan.ends), seed + links_.size());
  }
  for (std::size_t l = 0; l < links_.size(); ++l) {
    for (std::size_t e = 0; e < links_[l].endCount(); ++e) {
      RAILHEAD_TRY(watch(epoll_.get(), links_[l].endFd(e), 0, watches_.size(), EPOLL_CTL_ADD));
      watches_.push_back({l, e, 0});
    }
  }
  pumpNow_.assign(links_.size(), true);
  return {};
}

void Wire::run() {
  serve({});
  std::array<epoll_event, 32> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    std::vector<bool> awake(links_.size(), false);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
      if (tag == kTimerTag) drain(timer_.get());
      if (tag == kWakeTag) drain(wake_.get());
      if (tag < watches_.size()) awake[watches_[tag].link] = true;
    }
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    serve(awake);
  }
}

void Wire::serve(const std::vector<bool>& awake) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t l = 0; l < links_.size(); ++l) {
    const auto due = links_[l].nextDue();
    if (pumpNow_[l] || (!awake.empty() && awake[l]) || (due && *due <= now)) links_[l].pump(now);
    pumpNow_[l] = false;
  }
  updateWatches();
  armTimer();
}

void Wire::updateWatches() {
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    Watch& entry = watches_[i];
    const Link& link = links_[entry.link];
    const std::uint32_t events =
        (link.wantsRead(entry.end) ? EPOLLIN : 0U) | (link.wantsWrite(entry.end) ? EPOLLOUT : 0U);
    if (events == entry.events) continue;
    if (watch(epoll_.get(), link.endFd(entry.end), events, i, EPOLL_CTL_MOD)) entry.events = events;
  }
}

void Wire::armTimer() {
  std::optional<Link::TimePoint> earliest;
  for (const Link& link : links_) {
    const auto due = link.nextDue();
    if (due && (!earliest || *due < *earliest)) earliest = due;
  }
  itimerspec spec{};
  if (earliest) {
    // steady_clock counts CLOCK_MONOTONIC. Zero would disarm the timer.
    const auto since = std::max<std::int64_t>(
        1,
        std::chrono::duration_cast<std::chrono::nanoseconds>(earliest->time_since_epoch()).count());
    spec.it_value.tv_sec = since / 1000000000;
    spec.it_value.tv_nsec = since % 1000000000;
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

Result<LinkSettings> Wire::change(std::string_view link, const LinkChange& change) {
  const std::lock_guard lock(mutex_);
  for (std::size_t l = 0; l < links_.size(); ++l) {
    if (links_[l].name() != link) continue;
    LinkSettings settings = links_[l].settings();
    settings.cut = change.cut.value_or(settings.cut);
    settings.rate = change.rate.value_or(settings.rate);
    settings.lossPercent = change.lossPercent.value_or(settings.lossPercent);
    links_[l].change(settings);
    pumpNow_[l] = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
    return settings;
  }
  return Error(ErrorCode::kNotFound, "link " + inQuotes(link) + " does not exist");
}

std::vector<LinkState> Wire::state() const {
  const std::lock_guard lock(mutex_);
  std::vector<LinkState> states;
  for (const Link& link : links_) {
    LinkState state{link.name(), link.settings(), {}};
    for (std::size_t e = 0; e < link.endCount(); ++e) state.fromEnd.push_back(link.counters(e));
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace railhead::lab

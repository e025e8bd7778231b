#include "src/conflist/follower.h"

#include "src/os/folder_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace railhead::conflist {
namespace {

constexpr std::chrono::milliseconds kSettle{20};   // an installer writes in several steps
constexpr std::chrono::milliseconds kRetry{1000};  // after a failure, or without a folder
constexpr std::chrono::milliseconds kSlowLook{30000};

}  // namespace

Result<std::unique_ptr<ConflistFollower>> ConflistFollower::start(InstallerConfig config,
                                                                  std::string watched,
                                                                  os::Filesystem& files,
                                                                  os::Clock& clock,
                                                                  Listener listener) {
  os::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return Error::fromErrno(errno, "make an event descriptor");
  std::unique_ptr<ConflistFollower> follower(new ConflistFollower(
      std::move(config), std::move(watched), files, clock, std::move(listener), std::move(stop)));
  follower->look();
  follower->thread_ = std::thread([raw = follower.get()] { raw->run(); });
  return follower;
}

ConflistFollower::ConflistFollower(InstallerConfig config, std::string watched,
                                   os::Filesystem& files, os::Clock& clock, Listener listener,
                                   os::UniqueFd stop)
    : watched_(std::move(watched)),
      clock_(clock),
      installer_(std::move(config), files, clock),
      listener_(std::move(listener)),
      stop_(std::move(stop)) {}

ConflistFollower::~ConflistFollower() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

InstallOutcome ConflistFollower::outcome() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

void ConflistFollower::run() {
  std::optional<os::FolderWatch> watch;
  int pause = 0;  // it may have changed before there was a watch
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{stop_.get(), POLLIN, 0},
                              pollfd{watch ? watch->fd() : -1, POLLIN, 0}};
    const int got = ::poll(fds.data(), fds.size(), pause);
    if (got < 0 && errno != EINTR) return;
    if (got > 0 && fds[0].revents != 0) return;
    if (got > 0) {
      if (watch->drain().folderGone) watch.reset();
      pause = static_cast<int>(kSettle.count());
      continue;
    }
    const bool watched = watch.has_value();
    if (!watched) {
      if (auto opened = os::FolderWatch::open(watched_); opened.has_value())
        watch = std::move(*opened);
    }
    look();
    pause = watch ? wait() : static_cast<int>(kRetry.count());
  }
}

int ConflistFollower::wait() const {
  auto pause = failing_ ? kRetry : kSlowLook;
  if (const auto next = installer_.nextLook()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - clock_.now());
    pause = std::clamp(left, std::chrono::milliseconds(1), pause);
  }
  return static_cast<int>(pause.count());
}

void ConflistFollower::look() {
  const auto outcome = installer_.bringUpToDate();
  if (take(outcome) && listener_) listener_(outcome);
}

// True: it is to be told.
bool ConflistFollower::take(const Result<InstallOutcome>& outcome) {
  failing_ = !outcome.has_value();
  const std::string failure = failing_ ? outcome.error().describe() : "";
  bool news = failure != failure_;
  failure_ = failure;
  const std::lock_guard lock(mutex_);
  if (failing_) {
    last_.standing = Standing::kFailed;
    last_.note = failure;
    return news;
  }
  news = news || !outcome->changes.empty() || outcome->standing != last_.standing ||
         outcome->primary != last_.primary || outcome->note != last_.note;
  last_ = *outcome;
  return news;
}

}  // namespace railhead::conflist

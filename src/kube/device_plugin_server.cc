#include "src/kube/device_plugin_server.h"

#include "src/kube/device_plugin_checks.h"
#include "src/kube/rpc/plugin_service.h"
#include "src/os/folder_watch.h"
#include "src/os/host_paths.h"
#include "src/os/unix_listener.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

namespace railhead::kube {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Kubelet dials us back within Register and gives that ten seconds.
constexpr std::chrono::seconds kRegisterDeadline{15};
// Even if an event was missed, nothing stays wrong for longer.
constexpr std::chrono::milliseconds kLookAround{1000};
// While kubelet watches and the folder is watched: events tell of everything, and this is for one
// that got lost.
constexpr std::chrono::milliseconds kLookAroundSettled{10'000};

bool kubeletIsAway(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

// Counts what the resource hands out.
class CountingHandler final : public ResourceHandler {
 public:
  explicit CountingHandler(ResourceHandler& handler) : handler_(handler) {}
  Result<AllocateAnswer> allocate(const std::vector<std::string>& ids) override {
    auto answer = handler_.allocate(ids);
    if (answer.has_value()) ++allocations_;
    return answer;
  }
  Result<std::vector<std::string>> preferred(const std::vector<std::string>& available,
                                             const std::vector<std::string>& must,
                                             std::size_t size) override {
    return handler_.preferred(available, must, size);
  }
  std::uint64_t allocations() const { return allocations_; }

 private:
  ResourceHandler& handler_;
  std::atomic<std::uint64_t> allocations_ = 0;
};

}  // namespace

std::string_view pluginPhaseName(PluginPhase phase) {
  switch (phase) {
    case PluginPhase::kStopped:
      return "stopped";
    case PluginPhase::kWaiting:
      return "waiting";
    case PluginPhase::kRegistering:
      return "registering";
    case PluginPhase::kRegistered:
      return "registered";
    case PluginPhase::kRefused:
      return "refused";
    case PluginPhase::kDisplaced:
      return "displaced";
  }
  return "stopped";
}

// Owns the thread that looks after the socket file and the registration.
class DevicePluginServer::Keeper {
 public:
  Keeper(DevicePluginOptions options, ResourceHandler& handler)
      : options_(std::move(options)),
        socketPath_(options_.folder + "/" + options_.socket),
        handler_(handler),
        service_(handler_, {[this](int open) { watchBegan(open); },
                            [this](int open, bool newest) { watchEnded(open, newest); },
                            [this](std::uint64_t id, Result<void> result) {
                              registrationEnded(id, std::move(result));
                            },
                            [this](const std::string& note) {
                              if (options_.onNote) options_.onNote(note);
                            },
                            options_.mark}) {}
  ~Keeper() { stop(); }

  Result<void> start();
  void stop();
  std::vector<os::UniqueFd> retire();
  void publish(const std::vector<Device>& devices) { service_.publish(devices); }
  void registerAgain() {
    const std::lock_guard lifecycle(lifecycle_);
    if (!thread_.joinable()) return;
    registerSoon("told to register again");
    wakeUp();
  }
  PluginState state() const {
    const std::lock_guard lock(mutex_);
    PluginState now = state_;
    now.allocations = handler_.allocations();
    return now;
  }
  bool waitFor(const std::function<bool(const PluginState&)>& wanted, os::Deadline deadline) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [&] { return wanted(state_); });
  }

 private:
  void run();
  bool isReachable();
  bool ensureWatch();
  bool ensureSocket();
  void registerIfDue();
  bool waitForEvents();
  void acceptAll();
  void followFolder();
  void registerSoon(const std::string& why);
  void standBack(PluginPhase phase, const std::string& detail);
  void watchBegan(int open);
  void watchEnded(int open, bool newest);
  bool stopKeeping();  // with lifecycle_ held
  void registrationEnded(std::uint64_t id, Result<void> result);
  // Runs `change` on the state and tells everybody who waits for it, if it changed.
  template <typename Change>
  void update(Change change);
  void wakeUp() const { ::eventfd_write(wake_.get(), 1); }
  std::chrono::milliseconds timeToNextDuty() const;

  const DevicePluginOptions options_;
  std::mutex lifecycle_;  // start against stop
  bool started_ = false;
  bool serving_ = false;
  std::thread thread_;
  os::UniqueFd wake_;

  // The thread's own.
  std::shared_ptr<os::WorkMark> mark_;
  std::optional<os::FolderWatch> watch_;
  const std::string socketPath_;
  os::UnixListener socket_;
  std::vector<os::UniqueFd> connections_;  // duplicates of those that the service has
  bool everListened_ = false;
  SteadyClock::time_point reachAgain_{};   // no folder or no socket: not tried before this
  SteadyClock::time_point acceptAgain_{};  // descriptors ran out: not before this

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  PluginState state_;
  bool stopping_ = false;
  std::uint64_t attempt_ = 0;  // of registering; an end with an older number is stale
  SteadyClock::time_point nextAttempt_{};
  std::chrono::milliseconds retry_{};
  bool watched_ = false;  // by a stream that came since kubelet was asked last
  SteadyClock::time_point unwatchedSince_{};

  std::mutex telling_;  // keeps the calls of onState in order
  CountingHandler handler_;
  rpc::PluginService service_;  // last: its thread calls back into all of the above
};

template <typename Change>
void DevicePluginServer::Keeper::update(Change change) {
  const std::lock_guard telling(telling_);
  PluginState now;
  {
    const std::lock_guard lock(mutex_);
    const PluginState before = state_;
    change();
    if (before.phase == state_.phase && before.detail == state_.detail &&
        before.watchers == state_.watchers && before.registrations == state_.registrations) {
      return;
    }
    now = state_;
    changed_.notify_all();
  }
  if (options_.onState) options_.onState(now);
}

Result<void> DevicePluginServer::Keeper::start() {
  const std::lock_guard lifecycle(lifecycle_);
  if (started_) {
    return Error(ErrorCode::kAlreadyExists, "device plugin " + options_.resource +
                                                ": already started; make a new server instead");
  }
  wake_ = os::UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_) return Error::fromErrno(errno, "make an event descriptor");
  RAILHEAD_TRY(service_.start());
  started_ = serving_ = true;
  registerSoon("starting");
  thread_ = std::thread([this] { run(); });
  return {};
}

bool DevicePluginServer::Keeper::stopKeeping() {
  if (!thread_.joinable()) return false;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakeUp();
  thread_.join();
  return true;
}

void DevicePluginServer::Keeper::stop() {
  const std::lock_guard lifecycle(lifecycle_);
  const bool kept = stopKeeping();
  const bool served = std::exchange(serving_, false);
  // Before the socket: who takes its name registers at once, and kubelet would take the end of our
  // stream for that of the new one.
  if (served) {
    service_.stop();
    connections_.clear();
  }
  if (kept) socket_.close();
  if (served) update([this] { state_ = {PluginPhase::kStopped, "", 0, state_.registrations, 0}; });
}

std::vector<os::UniqueFd> DevicePluginServer::Keeper::retire() {
  const std::lock_guard lifecycle(lifecycle_);
  if (!stopKeeping()) return {};
  socket_.close();
  service_.mute();
  update([this] {
    state_.phase = PluginPhase::kStopped;
    state_.detail = "another serves this resource";
  });
  return std::move(connections_);
}

void DevicePluginServer::Keeper::run() {
  mark_ = os::makeWorkMark(options_.mark);
  do {
    const os::AtWork work(mark_.get());
    if (isReachable()) registerIfDue();
  } while (waitForEvents());
  mark_.reset();
}

// Makes it so, but fails once a second at most: each attempt leaves traces in the folder, too, and
// must not set off the next.
bool DevicePluginServer::Keeper::isReachable() {
  if (watch_ && socket_.isInPlace()) return true;
  if (SteadyClock::now() < reachAgain_) return false;
  if (ensureWatch() && ensureSocket()) return true;
  reachAgain_ = SteadyClock::now() + kLookAround;
  return false;
}

bool DevicePluginServer::Keeper::ensureWatch() {
  if (watch_) return true;
  auto watch = os::FolderWatch::open(options_.folder);
  if (!watch.has_value()) {
    socket_.close();
    standBack(PluginPhase::kWaiting, watch.error().describe());
    return false;
  }
  watch_ = std::move(*watch);
  return true;
}

bool DevicePluginServer::Keeper::ensureSocket() {
  if (socket_.isInPlace()) return true;
  // At our start the newest wins, as it does with kubelet: the other may be on its way out.
  auto listening = os::UnixListener::open(socketPath_, {.displace = !everListened_, .backlog = 16});
  if (!listening.has_value()) {
    socket_.close();  // nobody finds it any more
    const bool taken = listening.error().code == ErrorCode::kBusy;
    standBack(taken ? PluginPhase::kDisplaced : PluginPhase::kWaiting,
              listening.error().describe());
    return false;
  }
  socket_ = std::move(*listening);
  everListened_ = true;
  registerSoon("the socket is new");
  return true;
}

void DevicePluginServer::Keeper::registerIfDue() {
  rpc::PluginService::Registration registration;
  bool due = false;
  update([&] {
    const auto now = SteadyClock::now();
    if (state_.phase == PluginPhase::kRegistered && !watched_ &&
        now >= unwatchedSince_ + options_.unwatchedGrace) {
      state_.phase = PluginPhase::kWaiting;
      state_.detail = "kubelet stopped watching";
      nextAttempt_ = now;
    }
    const bool wants = state_.phase == PluginPhase::kWaiting ||
                       state_.phase == PluginPhase::kRefused ||
                       state_.phase == PluginPhase::kDisplaced;
    if (!wants || now < nextAttempt_) return;
    due = true;
    state_.phase = PluginPhase::kRegistering;
    watched_ = false;
    registration = {++attempt_, options_.folder + "/" + os::kKubeletSocket, options_.socket,
                    options_.resource, now + kRegisterDeadline};
  });
  if (due) service_.beginRegistration(registration);
}

std::chrono::milliseconds DevicePluginServer::Keeper::timeToNextDuty() const {
  const std::lock_guard lock(mutex_);
  const bool settled = state_.phase == PluginPhase::kRegistered && watched_ && watch_;
  auto next = SteadyClock::now() + (settled ? kLookAroundSettled : kLookAround);
  if (state_.phase == PluginPhase::kWaiting || state_.phase == PluginPhase::kRefused) {
    next = std::min(next, nextAttempt_);
  }
  if (state_.phase == PluginPhase::kRegistered && !watched_) {
    next = std::min(next, unwatchedSince_ + options_.unwatchedGrace);
  }
  if (acceptAgain_ > SteadyClock::now()) next = std::min(next, acceptAgain_);
  const auto now = SteadyClock::now();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now);
  const auto untilReach = std::chrono::ceil<std::chrono::milliseconds>(reachAgain_ - now);
  // Without a folder or a socket a registration that is due cannot be made: no spinning meanwhile.
  const bool reachable = watch_ && socket_.fd() >= 0;
  return std::max(reachable ? left : untilReach, std::chrono::milliseconds(0));
}

bool DevicePluginServer::Keeper::waitForEvents() {
  const bool mayAccept = SteadyClock::now() >= acceptAgain_;
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0},
                          {watch_ ? watch_->fd() : -1, POLLIN, 0},
                          {mayAccept ? socket_.fd() : -1, POLLIN, 0}};
  constexpr std::size_t kOwn = 3;
  for (const auto& connection : connections_) fds.push_back({connection.get(), 0, 0});
  ::poll(fds.data(), fds.size(), static_cast<int>(timeToNextDuty().count()));
  const os::AtWork work(mark_.get());
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
  }
  for (std::size_t i = fds.size(); i > kOwn; --i) {
    const auto hungUp = static_cast<std::ptrdiff_t>(i - kOwn - 1);
    if (fds[i - 1].revents != 0) connections_.erase(connections_.begin() + hungUp);
  }
  if (fds[2].revents != 0) acceptAll();
  if (fds[1].revents != 0) followFolder();
  return true;
}

void DevicePluginServer::Keeper::acceptAll() {
  for (int taken = 0; taken < 16; ++taken) {
    auto connection = socket_.accept();
    if (!connection.has_value()) {
      acceptAgain_ = SteadyClock::now() + std::chrono::milliseconds(200);
      return;
    }
    if (!*connection) return;
    os::UniqueFd twin(::fcntl((*connection)->get(), F_DUPFD_CLOEXEC, 0));
    if (twin) connections_.push_back(std::move(twin));
    service_.adopt(std::move(**connection));
  }
}

void DevicePluginServer::Keeper::followFolder() {
  const auto changes = watch_->drain();
  if (changes.folderGone) {
    watch_.reset();
    reachAgain_ = {};
    return;
  }
  const bool ours =
      changes.appeared.contains(options_.socket) || changes.vanished.contains(options_.socket);
  if (ours || changes.missedSome || changes.appeared.contains(os::kKubeletSocket)) reachAgain_ = {};
  if (changes.appeared.contains(os::kKubeletSocket) || changes.missedSome) {
    registerSoon("kubelet started");
  } else if (changes.vanished.contains(os::kKubeletSocket)) {
    registerSoon("kubelet is away");
  }
}

void DevicePluginServer::Keeper::registerSoon(const std::string& why) {
  update([&] {
    state_.phase = PluginPhase::kWaiting;
    state_.detail = why;
    retry_ = options_.firstRetry;
    nextAttempt_ = SteadyClock::now();
    ++attempt_;  // whatever is under way was asked of the kubelet before
  });
}

void DevicePluginServer::Keeper::standBack(PluginPhase phase, const std::string& detail) {
  update([&] {
    state_.phase = phase;
    state_.detail = detail;
    nextAttempt_ = SteadyClock::now();
    ++attempt_;
  });
}

void DevicePluginServer::Keeper::watchBegan(int open) {
  update([&] {
    state_.watchers = open;
    watched_ = true;
  });
  wakeUp();
}

void DevicePluginServer::Keeper::watchEnded(int open, bool newest) {
  update([&] {
    state_.watchers = open;
    if (newest) {
      watched_ = false;
      unwatchedSince_ = SteadyClock::now();
      return;
    }
    // Kubelet counts no device any more, though the newest stream stands.
    const bool asked =
        state_.phase == PluginPhase::kRegistered || state_.phase == PluginPhase::kRegistering;
    if (stopping_ || !asked) return;
    state_.phase = PluginPhase::kWaiting;
    state_.detail = "an older stream of kubelet's ended";
    nextAttempt_ = SteadyClock::now() + options_.firstRetry;
    ++attempt_;
  });
  wakeUp();
}

void DevicePluginServer::Keeper::registrationEnded(std::uint64_t id, Result<void> result) {
  update([&] {
    if (id != attempt_ || state_.phase != PluginPhase::kRegistering) return;
    const auto now = SteadyClock::now();
    if (result.has_value()) {
      state_.phase = PluginPhase::kRegistered;
      state_.detail.clear();
      ++state_.registrations;
      unwatchedSince_ = now;
      retry_ = options_.firstRetry;
      return;
    }
    const bool away = kubeletIsAway(result.error());
    state_.phase = away ? PluginPhase::kWaiting : PluginPhase::kRefused;
    state_.detail = result.error().describe();
    nextAttempt_ = now + retry_;
    retry_ = std::min(retry_ * 2, away ? options_.lastRetry : options_.lastRetryRefused);
  });
  wakeUp();
}

DevicePluginServer::DevicePluginServer(std::unique_ptr<Keeper> keeper)
    : keeper_(std::move(keeper)) {}
DevicePluginServer::~DevicePluginServer() = default;

Result<std::unique_ptr<DevicePluginServer>> DevicePluginServer::create(DevicePluginOptions options,
                                                                       ResourceHandler& handler) {
  RAILHEAD_TRY(checkOptions(options));
  return std::unique_ptr<DevicePluginServer>(
      new DevicePluginServer(std::make_unique<Keeper>(std::move(options), handler)));
}

Result<void> DevicePluginServer::start() { return keeper_->start(); }
void DevicePluginServer::stop() { keeper_->stop(); }
void DevicePluginServer::registerAgain() { keeper_->registerAgain(); }
std::vector<os::UniqueFd> DevicePluginServer::retire() { return keeper_->retire(); }

Result<void> DevicePluginServer::setDevices(std::vector<Device> devices) {
  RAILHEAD_TRY(checkDevices(devices).addContext("set devices"));
  keeper_->publish(devices);
  return {};
}

PluginState DevicePluginServer::state() const { return keeper_->state(); }
bool DevicePluginServer::waitFor(const std::function<bool(const PluginState&)>& wanted,
                                 os::Deadline deadline) const {
  return keeper_->waitFor(wanted, deadline);
}

}  // namespace railhead::kube

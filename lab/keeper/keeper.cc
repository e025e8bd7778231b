#include "lab/keeper/keeper.h"

#include "lab/keeper/event_loop.h"
#include "lab/keeper/keeper_messages.h"
#include "lab/keeper/lab.h"
#include "lab/keeper/lab_socket.h"
#include "lab/keeper/message_frame.h"
#include "lab/keeper/session.h"
#include "lab/keeper/stream_channel.h"
#include "src/os/filesystem.h"
#include "src/os/unix_socket.h"

#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <optional>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

namespace railhead::lab {
namespace {

constexpr std::chrono::seconds kOrderDeadline{10};
constexpr std::chrono::seconds kFarewell{2};  // for a last answer to reach its reader
constexpr std::size_t kMaxSessions = 64;

class Keeper {
 public:
  Keeper(EventLoop& loop, const os::HostPaths& paths) : loop_(loop), paths_(paths) {}

  Result<void> open(const StartOrder& order, os::UniqueFd starter) {
    bound_ = order.bound;
    RAILHEAD_TRY(watchSignals());
    StreamChannel::Events events;
    events.data = [](std::string_view) {};
    events.closed = [this] { onStarterGone(); };
    RAILHEAD_TRY_ASSIGN(starter_, StreamChannel::open(loop_, std::move(starter), events));
    auto opened = openLab(order);
    if (!opened) fail(opened.error());
    return {};
  }

 private:
  Result<void> watchSignals() {
    sigset_t handled;
    sigemptyset(&handled);
    for (const int signal : {SIGTERM, SIGINT}) sigaddset(&handled, signal);
    ::sigprocmask(SIG_SETMASK, &handled, nullptr);
    std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    signals_.reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return Error::fromErrno(errno, "watch signals");
    RAILHEAD_TRY(loop_.watch(signals_.get(), EPOLLIN, [this](auto) { loop_.stop(); }));
    return {};
  }

  Result<void> openLab(const StartOrder& order) {
    LabPlan plan;
    plan.name = order.name;
    RAILHEAD_TRY_ASSIGN(plan.topology, parseTopology(order.topologyYaml, "topology"));
    RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
    RAILHEAD_TRY_ASSIGN(plan.image, openLabImage(*files, order.imageDirectory));
    plan.qemu = {order.qemu, order.accelerator, order.share};
    plan.nullDevice = paths_.dev + "/null";
    plan.readyDeadline = std::chrono::seconds(order.readySeconds);
    RAILHEAD_TRY_ASSIGN(listener_, listenLab(order.name));
    Lab::Events events;
    events.boot = [this](const BootEvent& event) { onBoot(event); };
    events.failed = [this](const Error& error) { fail(error); };
    events.drained = [this](const NodeProcess& node) {
      for (const auto& [id, session] : sessions_) session->resume(node);
    };
    RAILHEAD_TRY_ASSIGN(lab_, Lab::start(loop_, std::move(plan), std::move(events)));
    RAILHEAD_TRY_ASSIGN(listenerWatch_,
                        loop_.watch(listener_.get(), EPOLLIN, [this](auto) { onClient(); }));
    return {};
  }

  void onBoot(const BootEvent& event) {
    if (event.kind == BootEvent::Kind::kUp) up_ = true;
    report({event, {}});
  }

  void report(const StartReport& report) {
    if (starter_) starter_->write(withLength(report.encode()));
  }

  void onStarterGone() {
    starter_.reset();
    if (bound_ || !up_ || failed_) loop_.stop();
  }

  // The starter hears why; the rest goes at once.
  void fail(const Error& error) {
    if (failed_) return;
    failed_ = true;
    report({{}, error});
    if (starter_) starter_->finish();
    loop_.after(kFarewell, [this] { loop_.stop(); });
    // Not from under the node or the lab that called.
    loop_.after(std::chrono::milliseconds(0), [this, error] { takeDown(error); });
  }

  // Nodes first: who reads the last answer finds nothing left but this process, which then ends.
  void takeDown(const Error& why) {
    loop_.forget(listenerWatch_);
    listener_.reset();
    for (const auto& [id, session] : sessions_) {
      if (!session->askedDown()) session->lastAnswer(why);
    }
    lab_.reset();
    for (const auto& [id, session] : sessions_) {
      if (session->askedDown()) session->lastAnswer(why);
    }
    down_ = true;
    stopWhenAnswered();
  }

  void stopWhenAnswered() {
    const bool told = !starter_ || starter_->queued() == 0;
    if (down_ && sessions_.empty() && told) loop_.stop();
  }

  void onClient() {
    os::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd || !checkPeer(fd.get()) || sessions_.size() >= kMaxSessions) return;
    const std::uint64_t id = nextSession_++;
    Session::Events events;
    events.closed = [this, id] {
      sessions_.erase(id);
      stopWhenAnswered();
    };
    events.down = [this] { onDown(); };
    auto session = Session::open(loop_, std::move(fd), *lab_, std::move(events));
    if (session) sessions_.emplace(id, std::move(*session));
  }

  void onDown() {
    // Not from under the session that called.
    loop_.after(std::chrono::milliseconds(0), [this] {
      if (down_) return;
      loop_.after(kFarewell, [this] { loop_.stop(); });
      takeDown(Error(ErrorCode::kUnavailable, "the lab was taken down"));
    });
  }

  EventLoop& loop_;
  const os::HostPaths& paths_;
  bool bound_ = false;
  bool up_ = false;
  bool failed_ = false;
  bool down_ = false;
  os::UniqueFd signals_;
  os::UniqueFd listener_;
  EventLoop::Id listenerWatch_ = 0;
  std::unique_ptr<StreamChannel> starter_;
  std::unique_ptr<Lab> lab_;
  std::uint64_t nextSession_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;  // before lab_ goes, see takeDown
};

Result<StartOrder> receiveOrder(int starter) {
  RAILHEAD_TRY(checkPeer(starter));
  RAILHEAD_TRY_ASSIGN(
      const std::string text,
      os::receiveFrame(starter, std::chrono::steady_clock::now() + kOrderDeadline, kMaxMessage));
  return StartOrder::parse(text);
}

}  // namespace

ExitCode runKeeper(os::UniqueFd starter, const os::HostPaths& paths) {
  const auto order = receiveOrder(starter.get());
  if (!order) return exitCodeFor(order.error().code);
  auto loop = EventLoop::open();
  if (!loop) return exitCodeFor(loop.error().code);
  Keeper keeper(**loop, paths);
  if (const auto opened = keeper.open(*order, std::move(starter)); !opened) {
    return exitCodeFor(opened.error().code);
  }
  (*loop)->run();
  return ExitCode::kOk;
}

}  // namespace railhead::lab

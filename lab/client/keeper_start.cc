#include "lab/client/keeper_start.h"

#include "lab/keeper/keeper_messages.h"
#include "lab/keeper/lab_socket.h"
#include "lab/node/host_check.h"
#include "lab/node/lab_image.h"
#include "src/os/bound_process.h"
#include "src/os/filesystem.h"
#include "src/os/process.h"
#include "src/os/unix_socket.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace railhead::lab {
namespace {

constexpr std::chrono::seconds kSpare{15};  // above the keeper's own deadline
constexpr std::chrono::seconds kMessage{10};
constexpr std::chrono::milliseconds kStopTime{5000};

using TimePoint = std::chrono::steady_clock::time_point;

// Readable data on `fd`; kUnavailable when `cancelFd` comes first.
Result<void> waitForReport(int fd, int cancelFd, TimePoint deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Error(ErrorCode::kDeadlineExceeded, "the lab's keeper does not answer");
    }
    std::array<pollfd, 2> fds{{{fd, POLLIN, 0}, {cancelFd, POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(),
                             static_cast<int>(std::min<std::int64_t>(left.count(), 60000)));
    if (ready < 0 && errno != EINTR) return Error::fromErrno(errno, "wait for the lab");
    if (ready <= 0) continue;
    if (fds[1].revents != 0) return Error(ErrorCode::kUnavailable, "interrupted; nothing is left");
    if (fds[0].revents != 0) return {};
  }
}

Result<void> followBoot(int lifeline, const LabOptions& options, const BootProgress& progress) {
  const TimePoint deadline = std::chrono::steady_clock::now() + options.readyDeadline + kSpare;
  for (;;) {
    RAILHEAD_TRY(waitForReport(lifeline, options.cancelFd, deadline));
    auto text =
        os::receiveFrame(lifeline, std::chrono::steady_clock::now() + kMessage, kMaxMessage);
    if (!text) {
      return Error(ErrorCode::kInternal, "the lab's keeper ended without a word",
                   "try again: " + labCommand("up", options.name));
    }
    RAILHEAD_TRY_ASSIGN(const StartReport report, StartReport::parse(*text));
    if (report.error) return *report.error;
    if (progress) progress(*report.event);
    if (report.event->kind == BootEvent::Kind::kUp) return {};
  }
}

}  // namespace

Result<void> checkMachine(const Topology& topology, const LabOptions& options) {
  RAILHEAD_TRY(checkLabName(options.name));
  RAILHEAD_TRY_ASSIGN(const auto files, os::RootedFilesystem::open("/"));
  os::SystemProcessRunner processes;
  HostCheck check(*files, processes, options.paths);
  RAILHEAD_TRY(check.checkAccelerator(options.accelerator));
  RAILHEAD_TRY(check.checkQemu(options.qemu));
  RAILHEAD_TRY(openLabImage(*files, options.imageDirectory));
  if (!options.share.empty()) RAILHEAD_TRY(check.checkShare(options.share));
  return check.checkMemory(topology);
}

Result<RunningKeeper> startKeeper(const Topology& topology, const LabOptions& options, bool bound,
                                  const BootProgress& progress) {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return Error::fromErrno(errno, "make a socket pair");
  }
  RunningKeeper running{os::UniqueFd(fds[0]), -1};
  os::UniqueFd keeperSide(fds[1]);
  os::BoundProcessSpec spec;
  spec.argv = options.keeper;
  spec.argv.push_back(std::to_string(keeperSide.get()));
  spec.inherited = {keeperSide.get()};
  spec.diesWithParent = false;  // it watches the socket, which also tells it of a parent's death
  spec.ownSession = true;
  RAILHEAD_TRY_ASSIGN(os::BoundProcess process,
                      os::BoundProcess::start(spec, options.paths.dev + "/null"));
  keeperSide.reset();
  running.pid = process.pid();
  process.release();

  StartOrder order;
  order.name = options.name;
  order.topologyYaml = toYaml(topology);
  order.imageDirectory = options.imageDirectory;
  order.qemu = options.qemu;
  order.accelerator = options.accelerator;
  order.share = options.share;
  order.readySeconds = static_cast<unsigned>(options.readyDeadline.count());
  order.bound = bound;
  auto started = os::sendFrame(running.lifeline.get(), order.encode(),
                               std::chrono::steady_clock::now() + kMessage);
  if (started) started = followBoot(running.lifeline.get(), options, progress);
  if (!started) {
    running.lifeline.reset();
    reapKeeper(running.pid, kStopTime);
    return started.error();
  }
  return running;
}

void reapKeeper(pid_t keeper, std::chrono::milliseconds deadline) {
  const os::UniqueFd pidFd(static_cast<int>(::syscall(SYS_pidfd_open, keeper, 0U)));
  if (!awaitEnd(pidFd.get(), deadline)) ::kill(keeper, SIGKILL);
  int status = 0;
  while (::waitpid(keeper, &status, 0) < 0 && errno == EINTR) {
  }
}

bool awaitEnd(int pidFd, std::chrono::milliseconds deadline) {
  pollfd entry{pidFd, POLLIN, 0};
  const TimePoint until = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    const int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace railhead::lab

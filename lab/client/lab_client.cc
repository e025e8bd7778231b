#include "lab/client/lab_client.h"

#include "lab/client/keeper_start.h"
#include "lab/keeper/keeper_messages.h"
#include "lab/keeper/lab_socket.h"
#include "src/base/text.h"
#include "src/os/unix_socket.h"

#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

constexpr std::chrono::seconds kAnswer{20};
constexpr std::chrono::milliseconds kFarewell{5000};

using TimePoint = std::chrono::steady_clock::time_point;

Result<KeeperAnswer> receiveAnswer(int fd, TimePoint deadline) {
  RAILHEAD_TRY_ASSIGN(const std::string text, os::receiveFrame(fd, deadline, kMaxMessage));
  RAILHEAD_TRY_ASSIGN(KeeperAnswer answer, KeeperAnswer::parse(text));
  if (answer.error) return *answer.error;
  return answer;
}

Result<KeeperAnswer> ask(const std::string& name, const KeeperRequest& request) {
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd fd, connectLab(name));
  const TimePoint deadline = std::chrono::steady_clock::now() + kAnswer;
  RAILHEAD_TRY(os::sendFrame(fd.get(), request.encode(), deadline));
  return receiveAnswer(fd.get(), deadline);
}

Error topologyRefusal(const LabStatus& running, const Topology& wanted) {
  const std::string difference =
      running.topology == wanted.name
          ? "a lab with another version of topology " + inQuotes(wanted.name)
          : "a lab with topology " + inQuotes(running.topology);
  return Error(ErrorCode::kBusy, difference + " is running",
               "take it down first: " + labCommand("down", running.name));
}

Error shareRefusal(const LabStatus& running) {
  return Error(ErrorCode::kBusy,
               running.share.empty() ? "the lab that runs shares no folder"
                                     : "the lab that runs shares " + inQuotes(running.share, 256),
               "take it down first: " + labCommand("down", running.name));
}

}  // namespace

Result<LabClient> LabClient::connect(const std::string& name) {
  RAILHEAD_TRY(connectLab(name));
  return LabClient(name);
}

Result<void> LabClient::waitUp(const std::string& name, std::chrono::seconds deadline,
                               int cancelFd) {
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd fd, connectLab(name));
  const TimePoint until = std::chrono::steady_clock::now() + deadline;
  RAILHEAD_TRY(os::sendFrame(fd.get(), KeeperRequest{Operation::kWaitUp}.encode(), until));
  std::array<pollfd, 2> fds{{{fd.get(), POLLIN, 0}, {cancelFd, POLLIN, 0}}};
  const auto left = std::chrono::milliseconds(deadline).count();
  if (::poll(fds.data(), fds.size(), static_cast<int>(left)) > 0 && fds[1].revents != 0) {
    return Error(ErrorCode::kUnavailable, "interrupted; the lab goes on starting elsewhere");
  }
  RAILHEAD_TRY(receiveAnswer(fd.get(), until));
  return {};
}

Result<LabClient::UpResult> LabClient::up(const Topology& topology, const LabOptions& options,
                                          const BootProgress& progress) {
  LabClient client(options.name);
  auto running = client.status();
  if (!running && running.error().code == ErrorCode::kNotFound) {
    RAILHEAD_TRY(checkMachine(topology, options));
    auto keeper = startKeeper(topology, options, false, progress);
    if (keeper) return UpResult{std::move(client), false};
    // Another `up` may have been faster by a moment.
    if (keeper.error().code != ErrorCode::kAlreadyExists) return keeper.error();
    running = client.status();
  }
  if (!running) return running.error();
  if (running->topologyYaml != toYaml(topology)) return topologyRefusal(*running, topology);
  if (!options.share.empty() && running->share != options.share) return shareRefusal(*running);
  for (const NodeStatus& node : running->nodes) {
    if (node.state != NodeState::kDead) continue;
    return Error(ErrorCode::kUnavailable, "the lab that runs is not whole: " + node.problem,
                 "the whole console: " + labCommand("logs " + node.name, options.name) + "; then " +
                     labCommand("down", options.name) + " and " + labCommand("up", options.name));
  }
  RAILHEAD_TRY(waitUp(options.name, options.readyDeadline, options.cancelFd));
  return UpResult{std::move(client), true};
}

Result<LinkStatus> LabClient::setLink(const std::string& link, const LinkChange& change) const {
  KeeperRequest request{Operation::kLink};
  request.link = link;
  request.change = change;
  RAILHEAD_TRY_ASSIGN(KeeperAnswer answer, ask(name_, request));
  if (!answer.link) return Error(ErrorCode::kCorrupt, "the keeper's answer has no link");
  return std::move(*answer.link);
}

Result<LabStatus> LabClient::status() const {
  RAILHEAD_TRY_ASSIGN(KeeperAnswer answer, ask(name_, KeeperRequest{Operation::kStatus}));
  if (!answer.status) return Error(ErrorCode::kCorrupt, "the keeper's answer has no status");
  return std::move(*answer.status);
}

Result<std::string> LabClient::logs(const std::string& node, std::size_t bytes) const {
  KeeperRequest request{Operation::kLogs};
  request.node = node;
  request.bytes = bytes;
  RAILHEAD_TRY_ASSIGN(KeeperAnswer answer, ask(name_, request));
  return std::move(answer.text);
}

Result<void> LabClient::down() const {
  RAILHEAD_TRY_ASSIGN(const os::UniqueFd fd, connectLab(name_));
  RAILHEAD_TRY_ASSIGN(const os::PeerCredentials keeper, os::peerCredentials(fd.get()));
  const os::UniqueFd keeperFd(static_cast<int>(::syscall(SYS_pidfd_open, keeper.pid, 0U)));
  const TimePoint deadline = std::chrono::steady_clock::now() + kAnswer;
  RAILHEAD_TRY(os::sendFrame(fd.get(), KeeperRequest{Operation::kDown}.encode(), deadline));
  RAILHEAD_TRY(receiveAnswer(fd.get(), deadline));
  if (keeperFd && !awaitEnd(keeperFd.get(), kFarewell)) {
    return Error(ErrorCode::kDeadlineExceeded,
                 "the lab's keeper (pid " + std::to_string(keeper.pid) + ") does not end",
                 "kill " + std::to_string(keeper.pid));
  }
  ::waitpid(keeper.pid, nullptr, WNOHANG);  // where this process is the one that started it
  return {};
}

Result<BoundLab> BoundLab::start(const Topology& topology, const LabOptions& options,
                                 const BootProgress& progress) {
  LabClient client(options.name);
  if (const auto running = client.status(); running) {
    return Error(ErrorCode::kBusy, "a lab named " + inQuotes(options.name) + " is running",
                 "take it down first: " + labCommand("down", options.name));
  } else if (running.error().code != ErrorCode::kNotFound) {
    return running.error();
  }
  RAILHEAD_TRY(checkMachine(topology, options));
  RAILHEAD_TRY_ASSIGN(RunningKeeper keeper, startKeeper(topology, options, true, progress));
  return BoundLab(std::move(client), std::move(keeper.lifeline), keeper.pid);
}

BoundLab::BoundLab(BoundLab&& other) noexcept
    : client_(std::move(other.client_)),
      lifeline_(std::move(other.lifeline_)),
      keeper_(std::exchange(other.keeper_, -1)) {}

BoundLab& BoundLab::operator=(BoundLab&& other) noexcept {
  if (this != &other) {
    close();
    client_ = std::move(other.client_);
    lifeline_ = std::move(other.lifeline_);
    keeper_ = std::exchange(other.keeper_, -1);
  }
  return *this;
}

BoundLab::~BoundLab() { close(); }

void BoundLab::close() {
  if (keeper_ < 0) return;
  lifeline_.reset();
  reapKeeper(std::exchange(keeper_, -1), kFarewell);
}

}  // namespace railhead::lab

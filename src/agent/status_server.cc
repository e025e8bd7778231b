#include "src/agent/status_server.h"

#include "src/os/unix_socket.h"

#include <cerrno>

#include <sys/eventfd.h>
#include <unistd.h>

namespace railhead::agent {
namespace {

constexpr std::chrono::seconds kDeadline{5};
constexpr std::size_t kMaxStatus = 16 << 20;
constexpr std::chrono::seconds kSendDeadline{1};  // a reader that stalls keeps the others waiting

}  // namespace

Result<std::unique_ptr<StatusServer>> StatusServer::start(const std::string& path,
                                                          std::function<std::string()> answer) {
  RAILHEAD_TRY_ASSIGN(os::UnixListener listener, os::UnixListener::open(path, {.displace = true}));
  os::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return Error::fromErrno(errno, "make an event descriptor");
  return std::unique_ptr<StatusServer>(
      new StatusServer(std::move(listener), std::move(stop), std::move(answer)));
}

StatusServer::StatusServer(os::UnixListener listener, os::UniqueFd stop,
                           std::function<std::string()> answer)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      answer_(std::move(answer)),
      thread_([this] { serve(); }) {}

StatusServer::~StatusServer() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t told = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void StatusServer::serve() {
  while (const auto peer = listener_.acceptUntil(stop_.get())) {
    // A reader that goes away or stalls is its own loss.
    static_cast<void>(
        os::sendFrame(peer->get(), answer_(), std::chrono::steady_clock::now() + kSendDeadline));
  }
}

Result<std::string> askStatus(const os::HostPaths& paths) { return askAt(paths.statusSocket()); }

Result<std::string> askAt(const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  // Whatever the socket says, what this node lacks is an agent that answers.
  const auto silent = [](Error error) {
    if (error.code != ErrorCode::kInvalidArgument) error.code = ErrorCode::kEnvironment;
    return std::move(error)
        .addContext("no agent answers")
        .withRemedy("start railhead-agent on this node, or name where its socket is");
  };
  auto socket = os::connectUnix(path, deadline);
  if (!socket.has_value()) return silent(std::move(socket).error());
  auto status = os::receiveFrame(socket->get(), deadline, kMaxStatus);
  if (!status.has_value()) return silent(std::move(status).error());
  return status;
}

}  // namespace railhead::agent

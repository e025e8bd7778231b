#include "src/attach/server.h"

#include "src/os/unix_socket.h"

#include <algorithm>
#include <cerrno>

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace railhead::attach {
namespace {

constexpr const char* kWorkerName = "cni-worker";

os::Deadline after(std::chrono::milliseconds duration) {
  return std::chrono::steady_clock::now() + duration;
}

void answer(int fd, const cni::Reply& reply, std::chrono::milliseconds deadline) {
  // A peer that went away does not get its answer; the operation stands in the journal.
  static_cast<void>(os::sendFrame(fd, cni::encodeReply(reply), after(deadline)).has_value());
}

cni::Reply tryAgain(std::string message) {
  return {1, cni::encodeError({cni::kTryAgain, std::move(message), ""}, "")};
}

}  // namespace

CniServer::CniServer(CniServerConfig config, CniHandler handler, os::UnixListener listener,
                     os::UniqueFd wake)
    : config_(std::move(config)),
      handler_(std::move(handler)),
      listener_(std::move(listener)),
      wake_(std::move(wake)) {}

CniServer::~CniServer() { stop(); }

Result<std::unique_ptr<CniServer>> CniServer::start(CniServerConfig config, CniHandler handler) {
  if (config.workers < 1 || config.workers > 256) {
    return Error(ErrorCode::kInvalidArgument,
                 "workers is " + std::to_string(config.workers) + ": 1 to 256 are allowed");
  }
  RAILHEAD_TRY_ASSIGN(os::UnixListener listener,
                      os::UnixListener::open(config.socketPath, {.displace = config.displace}));
  os::UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return Error::fromErrno(errno, "make an eventfd");
  std::unique_ptr<CniServer> server(
      new CniServer(std::move(config), std::move(handler), std::move(listener), std::move(wake)));
  server->threads_.emplace_back([raw = server.get()] { raw->accept(); });
  for (int i = 0; i < server->config_.workers; ++i)
    server->threads_.emplace_back([raw = server.get()] { raw->work(); });
  return server;
}

void CniServer::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one) == sizeof one);
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  listener_.close();
}

void CniServer::accept() {
  while (auto accepted = listener_.acceptUntil(wake_.get())) {
    os::UniqueFd connection = std::move(*accepted);
    const auto peer = os::peerCredentials(connection.get());
    if (!peer.has_value() || (peer->uid != 0 && peer->uid != ::geteuid())) continue;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() < static_cast<std::size_t>(config_.maxWaiting)) {
        waiting_.push_back({std::move(connection), std::chrono::steady_clock::now()});
      }
    }
    if (connection) {
      answer(connection.get(), tryAgain("the agent has too many requests waiting"),
             std::min(config_.sendDeadline, std::chrono::milliseconds(100)));
    } else {
      changed_.notify_one();
    }
  }
}

void CniServer::work() {
  // Shown by `ps -L`, debuggers and tracers: which of the agent's threads carries out a request.
  ::pthread_setname_np(::pthread_self(), kWorkerName);
  const auto mark = os::makeWorkMark(config_.mark);
  for (;;) {
    Waiting next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      // Those that waited when stop() came are still served: their pods are being made.
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    const os::AtWork work(mark.get());
    serve(std::move(next));
  }
}

void CniServer::serve(Waiting waiting) {
  const os::UniqueFd& connection = waiting.connection;
  const auto frame =
      os::receiveFrame(connection.get(), after(config_.receiveDeadline), cni::kMaxFrame);
  if (!frame.has_value()) return;  // nobody there any more, or no peer of ours
  auto call = cni::decodeCall(*frame);
  // Whose ADD was given up has asked for its DEL, or does so now: attached after that, it would
  // stay.
  if (call.has_value() && call->command == "ADD" && os::hungUp(connection.get())) return;
  if (call.has_value() && call->patience) {
    *call->patience -= std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - waiting.since);
  }
  const cni::Reply reply = call.has_value()
                               ? handler_(*call)
                               : cni::Reply{1, cni::encodeError(cni::errorFrom(call.error()), "")};
  answer(connection.get(), reply, config_.sendDeadline);
}

}  // namespace railhead::attach

#include "lab/guest/stream_server.h"

#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::lab {

namespace {

// Above this much unsent output programs are no longer read: they wait at their pipe, as they would
// for any slow reader.
constexpr std::size_t kOutgoingHigh = 1 << 20;
// A program that reads less of its input than this is behind is ended: the port must stay readable
// for everybody else.
constexpr std::size_t kMaxPendingInput = 16 << 20;
constexpr std::size_t kReadChunk = 64 * 1024;
// A port without a peer shows a hang-up all the time, so it is looked at by the clock.
constexpr int kPeerPollMilliseconds = 50;
constexpr std::size_t kMaxStreams = 512;
// A pipe holds 64 KiB unless its writer enlarges it, at most to this.
constexpr std::size_t kMaxPipe = 1 << 20;
constexpr std::chrono::milliseconds kLastWords{2000};

std::string_view baseName(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

StreamServer::StreamServer(os::UniqueFd port, os::UniqueFd signals, StreamServerOptions options)
    : port_(std::move(port)), signals_(std::move(signals)), options_(std::move(options)) {}

StreamServer::~StreamServer() {
  killAll();
  for (auto& [id, stream] : streams_) {
    if (!stream.ended) ::waitpid(stream.child.pid, nullptr, 0);
  }
}

Result<std::optional<NodeEnd>> StreamServer::serve() {
  send(FrameType::kReady, 0, options_.ready.encode());
  // The answer to the order to end is still sent, as long as somebody reads it.
  while (!end_ ||
         (connected_ && !outgoing_.empty() && std::chrono::steady_clock::now() < endDeadline_)) {
    if (hungUp_ && !options_.portReopens) return std::optional<NodeEnd>();
    RAILHEAD_TRY(waitAndHandle());
  }
  return end_;
}

int StreamServer::waitMilliseconds() const {
  int wait = connected_ && !end_ ? -1 : kPeerPollMilliseconds;
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [id, stream] : streams_) {
    if (!stream.ended) continue;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(stream.lingerUntil - now).count();
    const int bounded = static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 60'000));
    wait = wait < 0 ? bounded : std::min(wait, bounded);
  }
  return wait;
}

Result<void> StreamServer::waitAndHandle() {
  std::vector<pollfd> polled;
  polled.push_back({signals_.get(), POLLIN, 0});
  short portEvents = POLLIN;
  if (!outgoing_.empty()) portEvents = static_cast<short>(portEvents | POLLOUT);
  polled.push_back({connected_ ? port_.get() : -1, portEvents, 0});
  struct Entry {
    std::uint32_t id;
    FrameType type;
  };
  std::vector<Entry> entries;
  const bool mayRead = outgoing_.size() < kOutgoingHigh;
  for (const auto& [id, stream] : streams_) {
    const Child& child = stream.child;
    const auto add = [&](const os::UniqueFd& fd, short events, FrameType type) {
      if (!fd) return;
      polled.push_back({fd.get(), events, 0});
      entries.push_back({id, type});
    };
    if (mayRead) add(child.standardOutput, POLLIN, FrameType::kStdout);
    if (mayRead) add(child.standardError, POLLIN, FrameType::kStderr);
    if (!stream.pendingInput.empty()) add(child.standardInput, POLLOUT, FrameType::kStdin);
  }
  if (::poll(polled.data(), polled.size(), waitMilliseconds()) < 0 && errno != EINTR) {
    return Error::fromErrno(errno, "wait for the control port");
  }
  // Output first, so that what a program wrote before it ended is sent before its end.
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (polled[i + 2].revents == 0) continue;
    const auto found = streams_.find(entries[i].id);
    if (found == streams_.end()) continue;
    Stream& stream = found->second;
    if (entries[i].type == FrameType::kStdout) {
      passOutput(found->first, stream.child.standardOutput, FrameType::kStdout);
    } else if (entries[i].type == FrameType::kStderr) {
      passOutput(found->first, stream.child.standardError, FrameType::kStderr);
    } else {
      passInput(stream);
    }
  }
  if (polled[0].revents != 0) readSignals();
  if (!connected_ || (polled[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) readPort();
  if (connected_ && !outgoing_.empty()) writePort();
  finishEnded();
  return {};
}

void StreamServer::readPort() {
  pollfd state{port_.get(), POLLIN, 0};
  const bool polledNow = ::poll(&state, 1, 0) > 0;
  if (!connected_) {
    if (polledNow && (state.revents & POLLHUP) != 0) return;
    connected_ = true;
    options_.log("control port: connected");
    if (!readyDelivered_) send(FrameType::kReady, 0, options_.ready.encode());
    return;
  }
  std::array<char, kReadChunk> buffer;
  const ssize_t got = ::read(port_.get(), buffer.data(), buffer.size());
  if (got > 0) {
    decoder_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    portClosed();
    return;
  }
  while (true) {
    auto next = decoder_.next();
    if (!next.has_value()) {
      // The byte stream is lost: end what it ran and wait for the host to begin anew.
      options_.log(next.error().describe());
      send(FrameType::kRefused, 0, next.error().describe());
      writePort();
      portClosed();
      return;
    }
    if (!next->has_value()) return;
    handle(**next);
  }
}

void StreamServer::writePort() {
  const ssize_t written = ::write(port_.get(), outgoing_.data(), outgoing_.size());
  if (written > 0) {
    outgoing_.erase(0, static_cast<std::size_t>(written));
    readyDelivered_ = readyDelivered_ || outgoing_.empty();
  } else if (written < 0 && errno != EAGAIN && errno != EINTR) {
    portClosed();
  }
}

void StreamServer::portClosed() {
  if (connected_ && readyDelivered_) options_.log("control port: closed by the host");
  connected_ = false;
  hungUp_ = true;
  decoder_.reset();
  outgoing_.clear();
  killAll();
}

void StreamServer::killAll() {
  for (auto& [id, stream] : streams_) {
    if (!stream.ended) ::kill(-stream.child.pid, SIGKILL);
  }
}

void StreamServer::handle(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kPing:
      send(FrameType::kReady, 0, options_.ready.encode());
      return;
    case FrameType::kExec:
      startProgram(frame.stream, frame.payload);
      return;
    case FrameType::kStdin:
    case FrameType::kStdinEnd:
      takeInput(frame.stream, frame);
      return;
    case FrameType::kSignal: {
      const auto request = SignalRequest::parse(frame.payload);
      if (!request.has_value()) {
        options_.log(request.error().describe());
        return;
      }
      const auto found = streams_.find(frame.stream);
      // A signal may cross the program's end on its way: nothing is left to do then.
      if (found == streams_.end() || found->second.ended) return;
      ::kill(-found->second.child.pid, request->signal);
      return;
    }
    default:
      options_.log("control port: the host sent a " + std::string(frameTypeName(frame.type)) +
                   " frame, which only a guest sends");
  }
}

void StreamServer::startProgram(std::uint32_t id, const std::string& payload) {
  if (id == 0 || streams_.contains(id)) {
    options_.log("control port: exec on stream " + std::to_string(id) +
                 (id == 0 ? ", which is the connection's own" : ", which is in use"));
    if (id == 0) refuse(id, Error(ErrorCode::kInvalidArgument, "exec: stream 0 is reserved"));
    return;
  }
  if (streams_.size() >= kMaxStreams) {
    refuse(id, Error(ErrorCode::kExhausted, "exec: " + std::to_string(kMaxStreams) +
                                                " programs run already; end one first"));
    return;
  }
  const auto request = ExecRequest::parse(payload);
  if (!request.has_value()) {
    refuse(id, request.error());
    return;
  }
  const std::string_view program = baseName(request->argv[0]);
  if (request->argv.size() == 1 && (program == "poweroff" || program == "reboot")) {
    send(FrameType::kExit, id, ExitMessage{0, {}}.encode());
    orderEnd(program == "poweroff" ? NodeEnd::kPowerOff : NodeEnd::kReboot);
    return;
  }
  auto child = startChild(*request);
  if (!child.has_value()) {
    refuse(id, child.error());
    return;
  }
  streams_[id].child = std::move(*child);
}

void StreamServer::takeInput(std::uint32_t id, const Frame& frame) {
  const auto found = streams_.find(id);
  // Input may cross the program's end on its way.
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (!stream.child.standardInput || stream.inputEnded) return;
  if (frame.type == FrameType::kStdinEnd) {
    stream.inputEnded = true;
  } else if (stream.pendingInput.size() + frame.payload.size() > kMaxPendingInput) {
    options_.log("stream " + std::to_string(id) + " does not read its input; killed");
    send(FrameType::kStderr, id, "railhead-lab-guest: more than 16 MiB of unread input; killed\n");
    ::kill(-stream.child.pid, SIGKILL);
    stream.inputEnded = true;
    stream.pendingInput.clear();
  } else {
    stream.pendingInput += frame.payload;
  }
  passInput(stream);
}

void StreamServer::passInput(Stream& stream) {
  os::UniqueFd& fd = stream.child.standardInput;
  while (fd && !stream.pendingInput.empty()) {
    const ssize_t written =
        ::write(fd.get(), stream.pendingInput.data(), stream.pendingInput.size());
    if (written > 0) {
      stream.pendingInput.erase(0, static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      // The program closed its input; the rest is nobody's.
      fd.reset();
    }
  }
  if (!fd) stream.pendingInput.clear();
  if (stream.inputEnded && stream.pendingInput.empty()) fd.reset();
}

void StreamServer::passOutput(std::uint32_t id, os::UniqueFd& fd, FrameType type) {
  std::array<char, kReadChunk> buffer;
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  if (got > 0) {
    send(type, id, std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    fd.reset();
  }
}

// What the program itself wrote before it ended is in the pipes by now.
void StreamServer::drain(std::uint32_t id, Stream& stream) {
  for (auto [fd, type] : {std::pair{&stream.child.standardOutput, FrameType::kStdout},
                          std::pair{&stream.child.standardError, FrameType::kStderr}}) {
    for (std::size_t read = 0; *fd && read < kMaxPipe; read += kReadChunk) {
      pollfd state{fd->get(), POLLIN, 0};
      if (::poll(&state, 1, 0) <= 0) break;
      passOutput(id, *fd, type);
    }
  }
}

void StreamServer::readSignals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    switch (info.ssi_signo) {
      case SIGUSR1:  // busybox's halt
      case SIGUSR2:  // busybox's poweroff
      case SIGPWR:
        orderEnd(NodeEnd::kPowerOff);
        break;
      case SIGTERM:  // busybox's reboot
      case SIGINT:   // Ctrl-Alt-Del
        orderEnd(NodeEnd::kReboot);
        break;
      default:
        break;
    }
  }
  reapChildren();
}

void StreamServer::reapChildren() {
  int status = 0;
  pid_t pid = 0;
  // Every child, for PID 1 inherits orphans too.
  while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
    for (auto& [id, stream] : streams_) {
      if (stream.child.pid != pid || stream.ended) continue;
      ExitMessage message;
      if (WIFSIGNALED(status)) {
        message.signal = WTERMSIG(status);
      } else {
        message.code = WEXITSTATUS(status);
      }
      stream.ended = message;
      drain(id, stream);
      stream.lingerUntil = std::chrono::steady_clock::now() + options_.lingering;
    }
  }
}

void StreamServer::finishEnded() {
  const auto now = std::chrono::steady_clock::now();
  for (auto it = streams_.begin(); it != streams_.end();) {
    Stream& stream = it->second;
    const bool drained = !stream.child.standardOutput && !stream.child.standardError;
    if (stream.ended && (drained || !connected_ || now >= stream.lingerUntil)) {
      if (connected_) send(FrameType::kExit, it->first, stream.ended->encode());
      it = streams_.erase(it);
    } else {
      ++it;
    }
  }
}

void StreamServer::orderEnd(NodeEnd end) {
  if (!end_) endDeadline_ = std::chrono::steady_clock::now() + kLastWords;
  end_ = end;
}

void StreamServer::refuse(std::uint32_t id, const Error& error) {
  send(FrameType::kRefused, id, error.describe());
}

void StreamServer::send(FrameType type, std::uint32_t id, std::string_view payload) {
  outgoing_ += encodeFrame(type, id, payload.substr(0, kMaxFramePayload));
}

}  // namespace railhead::lab

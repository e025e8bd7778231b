#include "lab/client/lab_client.h"
#include "lab/keeper/keeper_messages.h"
#include "lab/keeper/lab_socket.h"
#include "lab/protocol/frame.h"
#include "src/base/text.h"
#include "src/base/units.h"
#include "src/os/unix_socket.h"

#include <array>
#include <cerrno>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

namespace railhead::lab {
namespace {

constexpr std::chrono::seconds kExecAnswer{20};
constexpr std::size_t kChunk = 64 * 1024;

using TimePoint = std::chrono::steady_clock::time_point;

// The conversation of one exec after the keeper agreed to it.
class ExecConversation {
 public:
  ExecConversation(os::UniqueFd fd, std::string lab, std::string what, const ExecStreams& streams,
                   std::string_view input, bool inputEnds)
      : fd_(std::move(fd)),
        lab_(std::move(lab)),
        what_(std::move(what)),
        streams_(streams),
        inputFd_(streams.inputFd) {
    appendChunked(out_, FrameType::kStdin, kStream, input);
    if (inputEnds) out_ += encodeFrame(FrameType::kStdinEnd, kStream);
  }

  Result<int> hold() {
    if (streams_.deadline) deadline_ = std::chrono::steady_clock::now() + *streams_.deadline;
    for (;;) {
      RAILHEAD_TRY_ASSIGN(const auto ready, wait());
      if ((ready[0].revents & POLLOUT) != 0) RAILHEAD_TRY(flush());
      if (ready[1].revents != 0) RAILHEAD_TRY(copyInput());
      if (ready[2].revents != 0) passSignal();
      if ((ready[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
      RAILHEAD_TRY(receive());
      RAILHEAD_TRY_ASSIGN(const std::optional<int> code, handleFrames());
      if (code) return *code;
    }
  }

 private:
  static constexpr std::uint32_t kStream = 1;  // the keeper puts the node's own in its place

  Result<std::array<pollfd, 3>> wait() {
    for (;;) {
      int timeout = -1;
      if (deadline_) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            *deadline_ - std::chrono::steady_clock::now());
        // Closing the connection makes the keeper end the command.
        if (left.count() <= 0) return tooLate();
        timeout = static_cast<int>(std::min<std::int64_t>(left.count(), 60000));
      }
      // No more input is taken than the node takes.
      const int input = out_.size() < kChunk ? inputFd_ : -1;
      const short events = static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT));
      std::array<pollfd, 3> fds{
          {{fd_.get(), events, 0}, {input, POLLIN, 0}, {streams_.signalFd, POLLIN, 0}}};
      const int ready = ::poll(fds.data(), fds.size(), timeout);
      if (ready > 0) return fds;
      if (ready < 0 && errno != EINTR) return Error::fromErrno(errno, what_);
    }
  }

  Error tooLate() const {
    return Error(ErrorCode::kDeadlineExceeded,
                 what_ + " took longer than " +
                     formatSeconds(std::chrono::duration<double>(*streams_.deadline).count()));
  }

  Result<void> flush() {
    const ssize_t sent = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) out_.clear();  // reading tells why
    return {};
  }

  Result<void> copyInput() {
    std::array<char, kChunk> chunk;
    const ssize_t got = ::read(inputFd_, chunk.data(), chunk.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (got < 0) return Error::fromErrno(errno, "read the input of " + what_);
    if (got == 0) {
      inputFd_ = -1;
      out_ += encodeFrame(FrameType::kStdinEnd, kStream);
    } else {
      appendChunked(out_, FrameType::kStdin, kStream,
                    std::string_view(chunk.data(), static_cast<std::size_t>(got)));
    }
    return {};
  }

  void passSignal() {
    signalfd_siginfo info{};
    if (::read(streams_.signalFd, &info, sizeof info) != sizeof info) return;
    out_ += encodeFrame(FrameType::kSignal, kStream,
                        SignalRequest{static_cast<int>(info.ssi_signo)}.encode());
  }

  Result<void> receive() {
    std::array<char, kChunk> chunk;
    const ssize_t got = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (got <= 0) {
      return Error(ErrorCode::kUnavailable, what_ + ": the lab ended, or its output was not read",
                   "see " + labCommand("status", lab_));
    }
    decoder_.feed(std::string_view(chunk.data(), static_cast<std::size_t>(got)));
    return {};
  }

  Result<std::optional<int>> handleFrames() {
    for (;;) {
      RAILHEAD_TRY_ASSIGN(const auto frame, decoder_.next());
      if (!frame) return std::optional<int>();
      if (frame->type == FrameType::kStdout && streams_.output) streams_.output(frame->payload);
      if (frame->type == FrameType::kStderr && streams_.errorOutput) {
        streams_.errorOutput(frame->payload);
      }
      if (frame->type == FrameType::kRefused) {
        return Error(ErrorCode::kUnavailable, what_ + ": " + frame->payload);
      }
      if (frame->type == FrameType::kExit) {
        RAILHEAD_TRY_ASSIGN(const ExitMessage exit, ExitMessage::parse(frame->payload));
        return std::optional<int>(exit.shellCode());
      }
    }
  }

  os::UniqueFd fd_;
  std::string lab_;
  std::string what_;
  const ExecStreams& streams_;
  int inputFd_;
  std::string out_;
  FrameDecoder decoder_;
  std::optional<TimePoint> deadline_;
};

Result<int> converse(const std::string& lab, const std::string& node,
                     const std::vector<std::string>& argv, const ExecStreams& streams,
                     std::string_view input) {
  const std::string what = (argv.empty() ? "exec" : argv[0]) + " on " + node;
  RAILHEAD_TRY_ASSIGN(os::UniqueFd fd, connectLab(lab));
  KeeperRequest request{Operation::kExec};
  request.node = node;
  request.exec = {argv, streams.env, streams.cwd};
  const TimePoint deadline = std::chrono::steady_clock::now() + kExecAnswer;
  RAILHEAD_TRY(os::sendFrame(fd.get(), request.encode(), deadline));
  RAILHEAD_TRY_ASSIGN(const std::string text, os::receiveFrame(fd.get(), deadline, kMaxMessage));
  RAILHEAD_TRY_ASSIGN(const KeeperAnswer answer, KeeperAnswer::parse(text));
  if (answer.error) return *answer.error;
  return ExecConversation(std::move(fd), lab, what, streams, input, streams.inputFd < 0).hold();
}

}  // namespace

Result<int> LabClient::execStreaming(const std::string& node, const std::vector<std::string>& argv,
                                     const ExecStreams& streams) const {
  return converse(name_, node, argv, streams, {});
}

Result<ExecResult> LabClient::exec(const std::string& node, const std::vector<std::string>& argv,
                                   const ExecOptions& options) const {
  ExecResult result;
  bool tooMuch = false;
  const auto keep = [&](std::string& into, std::string_view bytes) {
    if (into.size() + bytes.size() > options.maxOutput) tooMuch = true;
    if (!tooMuch) into.append(bytes);
  };
  ExecStreams streams;
  streams.output = [&](std::string_view bytes) { keep(result.output, bytes); };
  streams.errorOutput = [&](std::string_view bytes) { keep(result.errorOutput, bytes); };
  streams.env = options.env;
  streams.cwd = options.cwd;
  streams.deadline = options.deadline;
  RAILHEAD_TRY_ASSIGN(result.exitCode, converse(name_, node, argv, streams, options.input));
  if (tooMuch) {
    return Error(ErrorCode::kExhausted,
                 argv[0] + " on " + node + " printed more than " + formatBytes(options.maxOutput));
  }
  return result;
}

}  // namespace railhead::lab

#include "lab/guest/stream_server.h"

#include <array>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

namespace railhead::lab {
namespace {

// As main() does: a command that ends without reading its input must not end the server.
[[maybe_unused]] const auto kIgnoreBrokenPipes = ::signal(SIGPIPE, SIG_IGN);

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::IsEmpty;

// The server on a thread of its own, and the host's end of its port.
class StreamServerTest : public testing::Test {
 protected:
  void SetUp() override {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &mask, nullptr), 0);
    os::UniqueFd signals(::signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
    ASSERT_TRUE(signals);
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    host_.reset(ends[0]);
    os::UniqueFd guest(ends[1]);
    ASSERT_EQ(::fcntl(guest.get(), F_SETFL, O_NONBLOCK), 0);
    StreamServerOptions options;
    options.ready = ReadyMessage{"spark-a", "7.3.4", 4.5};
    options.portReopens = false;
    options.lingering = milliseconds(50);
    server_ = std::make_unique<StreamServer>(std::move(guest), std::move(signals), options);
    thread_ = std::thread([this] {
      result_ = server_->serve();
      server_.reset();
    });
    EXPECT_EQ(receive().type, FrameType::kReady);
  }

  void TearDown() override {
    host_.reset();
    if (thread_.joinable()) thread_.join();
  }

  void sendRaw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(host_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void send(FrameType type, std::uint32_t stream, std::string_view payload = {}) {
    sendRaw(encodeFrame(type, stream, payload));
  }
  void exec(std::uint32_t stream, std::vector<std::string> argv,
            std::map<std::string, std::string> env = {}, std::string cwd = "/") {
    send(FrameType::kExec, stream, ExecRequest{std::move(argv), std::move(env), cwd}.encode());
  }
  void shell(std::uint32_t stream, const std::string& script) {
    exec(stream, {"sh", "-c", script});
  }

  // The next frame; a kPing frame stands for "nothing within 10 s" and fails the test.
  Frame receive() {
    const auto deadline = steady_clock::now() + seconds(10);
    while (true) {
      auto next = decoder_.next();
      EXPECT_TRUE(next.has_value());
      if (!next.has_value()) return {};
      if (next->has_value()) return std::move(**next);
      pollfd state{host_.get(), POLLIN, 0};
      const auto left =
          std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
      if (left <= 0 || ::poll(&state, 1, static_cast<int>(left)) <= 0) break;
      std::array<char, 65536> buffer;
      const ssize_t got = ::read(host_.get(), buffer.data(), buffer.size());
      if (got <= 0) break;
      decoder_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    }
    ADD_FAILURE() << "no frame came";
    return {};
  }

  struct Outcome {
    std::string output;
    std::string error;
    ExitMessage exit;
    std::string refused;
  };
  // Everything of one stream up to its last frame; frames of other streams fail the test.
  Outcome finish(std::uint32_t stream) {
    Outcome outcome;
    while (true) {
      const Frame frame = receive();
      EXPECT_EQ(frame.stream, stream);
      switch (frame.type) {
        case FrameType::kStdout:
          outcome.output += frame.payload;
          break;
        case FrameType::kStderr:
          outcome.error += frame.payload;
          break;
        case FrameType::kExit:
          outcome.exit = ExitMessage::parse(frame.payload).value();
          return outcome;
        case FrameType::kRefused:
          outcome.refused = frame.payload;
          return outcome;
        default:
          return outcome;
      }
    }
  }

  os::UniqueFd host_;
  FrameDecoder decoder_;
  std::unique_ptr<StreamServer> server_;
  Result<std::optional<NodeEnd>> result_ = std::optional<NodeEnd>();
  std::thread thread_;
};

TEST_F(StreamServerTest, PingIsAnsweredWithReady) {
  send(FrameType::kPing, 0);
  const Frame frame = receive();
  ASSERT_EQ(frame.type, FrameType::kReady);
  EXPECT_EQ(ReadyMessage::parse(frame.payload).value().node, "spark-a");
}

TEST_F(StreamServerTest, OutputErrorAndCodeOfAProgram) {
  shell(1, "echo out; echo err >&2; exit 7");
  const Outcome outcome = finish(1);
  EXPECT_EQ(outcome.output, "out\n");
  EXPECT_EQ(outcome.error, "err\n");
  EXPECT_EQ(outcome.exit, (ExitMessage{7, {}}));
}

TEST_F(StreamServerTest, EnvironmentAndFolderReachTheProgram) {
  exec(2, {"sh", "-c", "echo $GREETING; pwd"}, {{"GREETING", "hello world"}}, "/tmp");
  EXPECT_EQ(finish(2).output, "hello world\n/tmp\n");
}

TEST_F(StreamServerTest, InputIsPassedOnAndItsEndToo) {
  exec(3, {"cat"});
  const std::string bytes(300'000, 'z');
  for (std::size_t at = 0; at < bytes.size(); at += 50'000) {
    send(FrameType::kStdin, 3, std::string_view(bytes).substr(at, 50'000));
  }
  send(FrameType::kStdinEnd, 3);
  const Outcome outcome = finish(3);
  EXPECT_EQ(outcome.output, bytes);
  EXPECT_EQ(outcome.exit, (ExitMessage{0, {}}));
}

TEST_F(StreamServerTest, InputForAProgramThatDoesNotReadIsNoHarm) {
  exec(3, {"true"});
  send(FrameType::kStdin, 3, "nobody reads this");
  send(FrameType::kStdinEnd, 3);
  EXPECT_EQ(finish(3).exit, (ExitMessage{0, {}}));
}

TEST_F(StreamServerTest, UnreadInputIsBounded) {
  exec(3, {"sleep", "60"});
  const std::string piece(kMaxFramePayload, 'x');
  for (int i = 0; i < 66; ++i) send(FrameType::kStdin, 3, piece);
  const Outcome outcome = finish(3);
  EXPECT_THAT(outcome.error, HasSubstr("more than 16 MiB of unread input"));
  EXPECT_EQ(outcome.exit, (ExitMessage{{}, SIGKILL}));
}

TEST_F(StreamServerTest, LargeOutputArrivesWhole) {
  shell(4, "head -c 3000000 /dev/zero");
  EXPECT_EQ(finish(4).output.size(), 3'000'000U);
}

TEST_F(StreamServerTest, SignalReachesTheWholeProcessGroup) {
  shell(5, "sleep 60 & echo started; wait");
  ASSERT_EQ(receive().payload, "started\n");
  send(FrameType::kSignal, 5, SignalRequest{SIGTERM}.encode());
  // The grandchild holds the output open: the stream only ends this fast if it died too.
  EXPECT_EQ(finish(5).exit, (ExitMessage{{}, SIGTERM}));
}

TEST_F(StreamServerTest, WrongSignalIsIgnored) {
  exec(5, {"cat"});
  send(FrameType::kSignal, 5, R"({"signal":99})");
  send(FrameType::kStdinEnd, 5);
  EXPECT_EQ(finish(5).exit, (ExitMessage{0, {}}));
}

TEST_F(StreamServerTest, ManyStreamsAtOnceKeepTheirBytesApart) {
  constexpr std::uint32_t kStreams = 40;
  for (std::uint32_t id = 1; id <= kStreams; ++id) exec(id, {"cat"});
  for (std::uint32_t id = kStreams; id >= 1; --id) {
    send(FrameType::kStdin, id, "stream " + std::to_string(id));
    send(FrameType::kStdinEnd, id);
  }
  std::map<std::uint32_t, std::string> outputs;
  for (std::uint32_t ended = 0; ended < kStreams;) {
    const Frame frame = receive();
    if (frame.type == FrameType::kStdout) outputs[frame.stream] += frame.payload;
    if (frame.type == FrameType::kExit) ++ended;
    ASSERT_NE(frame.type, FrameType::kPing);
  }
  for (std::uint32_t id = 1; id <= kStreams; ++id) {
    EXPECT_EQ(outputs[id], "stream " + std::to_string(id));
  }
}

TEST_F(StreamServerTest, ABackgroundProgramDoesNotHoldTheStream) {
  shell(6, "sleep 30 & echo $!");
  const Outcome outcome = finish(6);
  EXPECT_EQ(outcome.exit, (ExitMessage{0, {}}));
  ::kill(std::stoi(outcome.output), SIGKILL);
}

TEST_F(StreamServerTest, WhatCannotStartIsRefusedWithTheReason) {
  exec(7, {"no-such-program"});
  EXPECT_THAT(finish(7).refused, HasSubstr("start 'no-such-program'"));
  exec(8, {"/etc/passwd"});
  EXPECT_THAT(finish(8).refused, HasSubstr("Permission denied"));
  exec(9, {"true"}, {}, "/no/such/folder");
  EXPECT_THAT(finish(9).refused, HasSubstr("'/no/such/folder'"));
  send(FrameType::kExec, 10, R"({"argv":[]})");
  EXPECT_THAT(finish(10).refused, HasSubstr("field 'argv'"));
  send(FrameType::kExec, 0, R"({"argv":["true"]})");
  EXPECT_THAT(finish(0).refused, HasSubstr("stream 0 is reserved"));
}

TEST_F(StreamServerTest, PowerOffEndsServingAfterItsAnswer) {
  exec(11, {"poweroff"});
  EXPECT_EQ(finish(11).exit, (ExitMessage{0, {}}));
  thread_.join();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(*result_, NodeEnd::kPowerOff);
}

TEST_F(StreamServerTest, ClosedPortKillsWhatRuns) {
  shell(12, "echo $$; exec sleep 600");
  const pid_t pid = std::stoi(receive().payload);
  host_.reset();
  thread_.join();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(*result_, std::nullopt);
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(StreamServerTest, GarbageEndsTheConnectionWithTheReason) {
  shell(13, "exec sleep 600");
  sendRaw(std::string(64, '\xee'));
  const Frame frame = receive();
  EXPECT_EQ(frame.type, FrameType::kRefused);
  EXPECT_EQ(frame.stream, 0U);
  EXPECT_THAT(frame.payload, HasSubstr("allowed are types"));
  thread_.join();
  EXPECT_TRUE(result_.has_value());
}

}  // namespace
}  // namespace railhead::lab

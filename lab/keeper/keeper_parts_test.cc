#include "lab/keeper/console_log.h"
#include "lab/keeper/event_loop.h"
#include "lab/keeper/keeper_messages.h"
#include "lab/keeper/lab_socket.h"
#include "lab/keeper/qmp.h"
#include "lab/keeper/stream_channel.h"

#include <array>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace railhead::lab {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::pair<os::UniqueFd, os::UniqueFd> socketPair() {
  std::array<int, 2> fds{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  return {os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

TEST(ConsoleLog, KeepsTheEndFromTheStartOfALine) {
  ConsoleLog log(32);
  for (int i = 0; i < 100; ++i) log.append("line " + std::to_string(i) + "\r\n");
  EXPECT_EQ(log.tail(1000), "line 97\r\nline 98\r\nline 99\r\n");
  EXPECT_EQ(log.tail(12), "line 99\r\n");
  log.append("no end");
  EXPECT_EQ(log.tail(4), " end");
}

TEST(ConsoleLog, LastLinesArePlainText) {
  ConsoleLog log;
  log.append("\x1b[2J\x1b[0mfirst\r\n\r\n\x1b[31msecond\x1b[0m\a\r\nthird");
  EXPECT_EQ(log.lastLines(2), "second\nthird");
  EXPECT_EQ(log.lastLines(9), "first\nsecond\nthird");
  EXPECT_EQ(ConsoleLog().lastLines(3), "");
}

TEST(ConsoleLog, TellingLinesAreThoseThatSayWhyANodeDied) {
  ConsoleLog log;
  EXPECT_EQ(log.tellingLines(3), "");
  log.append("[ 1.0] e1000: link up\n[ 2.0] eth0: renamed\n[ 3.0] random: ready\n[ 4.0] bye\n");
  EXPECT_EQ(log.tellingLines(3), "[ 2.0] eth0: renamed\n[ 3.0] random: ready\n[ 4.0] bye");
  log.append(
      "[ 5.0] railhead-lab-guest: the node cannot start: open /dev/vda\n"
      "[ 6.0] oom-kill:constraint=CONSTRAINT_NONE,task=sh\n"
      "[ 6.1] Out of memory: Killed process 77 (sh)\n"
      "[ 7.0] Kernel panic - not syncing: System is deadlocked on memory\r\n"
      "[ 7.1] CPU: 0 PID: 1 Comm: init\n[ 7.2] Call Trace:\n[ 7.3]  dump_stack\n"
      "[ 7.4] RIP: 0033:0x7f\n"
      "[ 7.5] ---[ end Kernel panic - not syncing: System is deadlocked on memory ]---\n");
  EXPECT_EQ(log.tellingLines(3),
            "[ 6.0] oom-kill:constraint=CONSTRAINT_NONE,task=sh\n"
            "[ 6.1] Out of memory: Killed process 77 (sh)\n"
            "[ 7.0] Kernel panic - not syncing: System is deadlocked on memory");
}

TEST(EventLoop, TimersRunInOrderAndCanBeCancelled) {
  auto loop = EventLoop::open();
  ASSERT_TRUE(loop);
  std::string order;
  EventLoop::Id cancelled = 0;
  (*loop)->after(milliseconds(0), [&] {
    order += "a";
    (*loop)->cancel(cancelled);
  });
  cancelled = (*loop)->after(milliseconds(0), [&] { order += "x"; });
  (*loop)->after(milliseconds(2), [&] {
    order += "b";
    (*loop)->stop();
  });
  (*loop)->run();
  EXPECT_EQ(order, "ab");
}

TEST(EventLoop, ForgottenDescriptorIsNotCalledFromTheSameRound) {
  auto loop = EventLoop::open();
  ASSERT_TRUE(loop);
  auto [first, firstPeer] = socketPair();
  auto [second, secondPeer] = socketPair();
  ASSERT_EQ(::write(firstPeer.get(), "x", 1), 1);
  ASSERT_EQ(::write(secondPeer.get(), "x", 1), 1);
  int calls = 0;
  std::array<EventLoop::Id, 2> ids{};
  for (std::size_t i = 0; i < 2; ++i) {
    auto id = (*loop)->watch(i == 0 ? first.get() : second.get(), EPOLLIN, [&](auto) {
      ++calls;
      for (const auto other : ids) (*loop)->forget(other);
      (*loop)->after(milliseconds(1), [&] { (*loop)->stop(); });
    });
    ASSERT_TRUE(id);
    ids[i] = *id;
  }
  (*loop)->run();
  EXPECT_EQ(calls, 1);
}

TEST(StreamChannel, QueuesWhatThePeerDoesNotTakeAndSaysWhenItDid) {
  auto loop = EventLoop::open();
  ASSERT_TRUE(loop);
  auto [mine, theirs] = socketPair();
  bool drained = false;
  std::size_t received = 0;
  StreamChannel::Events events;
  events.data = [](std::string_view) {};
  events.drained = [&] { drained = true; };
  auto channel = StreamChannel::open(**loop, std::move(mine), std::move(events));
  ASSERT_TRUE(channel);
  (*channel)->write(std::string(4 << 20, 'x'));
  EXPECT_GT((*channel)->queued(), StreamChannel::kHighWater);
  StreamChannel::Events peerEvents;
  peerEvents.data = [&](std::string_view bytes) {
    received += bytes.size();
    if (received == 4U << 20) (*loop)->stop();
  };
  auto peer = StreamChannel::open(**loop, std::move(theirs), std::move(peerEvents));
  ASSERT_TRUE(peer);
  (*loop)->run();
  EXPECT_TRUE(drained);
  EXPECT_EQ((*channel)->queued(), 0U);
}

TEST(StreamChannel, FinishDeliversEverythingThenCloses) {
  auto loop = EventLoop::open();
  ASSERT_TRUE(loop);
  auto [mine, theirs] = socketPair();
  StreamChannel::Events events;
  events.data = [](std::string_view) {};
  std::unique_ptr<StreamChannel> channel;
  events.closed = [&] {
    channel.reset();  // from inside its own callback
    (*loop)->stop();
  };
  auto opened = StreamChannel::open(**loop, std::move(mine), std::move(events));
  ASSERT_TRUE(opened);
  channel = std::move(*opened);
  channel->write("last words");
  channel->finish();
  (*loop)->run();
  std::array<char, 32> text{};
  EXPECT_EQ(::read(theirs.get(), text.data(), text.size()), 10);
  EXPECT_EQ(::read(theirs.get(), text.data(), text.size()), 0);
}

class QmpTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::open();
    ASSERT_TRUE(loop);
    loop_ = std::move(*loop);
    auto [mine, theirs] = socketPair();
    peer_ = std::move(theirs);
    auto qmp = Qmp::open(*loop_, std::move(mine));
    ASSERT_TRUE(qmp);
    qmp_ = std::move(*qmp);
  }
  Result<void> setLinkWith(const std::string& answer) {
    std::optional<Result<void>> result;
    qmp_->setLink("pf0", false, [&](Result<void> done) {
      result = std::move(done);
      loop_->stop();
    });
    if (answer.empty()) {
      peer_.reset();
    } else {
      EXPECT_EQ(::write(peer_.get(), answer.data(), answer.size()),
                static_cast<ssize_t>(answer.size()));
    }
    loop_->run();
    return result.value_or(Error(ErrorCode::kInternal, "no answer"));
  }

  std::unique_ptr<EventLoop> loop_;
  os::UniqueFd peer_;
  std::unique_ptr<Qmp> qmp_;
};

TEST_F(QmpTest, MatchesAnswersAndIgnoresEvents) {
  EXPECT_TRUE(
      setLinkWith("{\"QMP\": {}}\r\n{\"return\": {}, \"id\": 1}\r\nnonsense\r\n"
                  "{\"event\": \"NIC\"}\r\n{\"return\": {}, \"id\": 2}\r\n"));
  std::array<char, 512> sent{};
  const ssize_t length = ::read(peer_.get(), sent.data(), sent.size());
  ASSERT_GT(length, 0);
  EXPECT_THAT(std::string(sent.data(), static_cast<std::size_t>(length)),
              HasSubstr(R"({"execute":"set_link","arguments":{"name":"pf0","up":false},"id":2})"));
}

TEST_F(QmpTest, RefusalAndEndAreErrors) {
  const auto refused = setLinkWith(
      "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no pf0\"}, \"id\": 2}\r\n");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no pf0"));
}

TEST_F(QmpTest, EndOfQemuIsAnAnswer) {
  const auto ended = setLinkWith("");
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kUnavailable);
}

TEST(KeeperMessages, RequestsSurviveTheWire) {
  KeeperRequest request{Operation::kExec};
  request.node = "a";
  request.exec = {{"sh", "-c", "x"}, {{"A", "b"}}, "/tmp"};
  auto read = KeeperRequest::parse(request.encode());
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(read->operation, Operation::kExec);
  EXPECT_EQ(read->exec, request.exec);

  KeeperRequest link{Operation::kLink};
  link.link = "rail0";
  link.change = {true, BitRate{4e7}, {}};
  read = KeeperRequest::parse(link.encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->change.cut, true);
  EXPECT_EQ(read->change.rate->bitsPerSecond, 4e7);
  EXPECT_FALSE(read->change.lossPercent);
}

TEST(KeeperMessages, AnswersKeepTheErrorAndSurviveBytesThatAreNoText) {
  KeeperAnswer answer;
  answer.error = Error(ErrorCode::kBusy, "taken", "wait");
  answer.text = "console \xff\xfe";
  const auto read = KeeperAnswer::parse(answer.encode());
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(read->error->code, ErrorCode::kBusy);
  EXPECT_EQ(read->error->remedy, "wait");
  EXPECT_THAT(read->text, HasSubstr("console "));
}

TEST(KeeperMessages, WrongFormsAreCorrupt) {
  for (const auto* text : {"", "[]", "{}", R"({"op": "frob"})", R"({"op": 3})",
                           R"({"op": "logs", "bytes": "many"})", R"({"op": "link", "cut": 1})"}) {
    const auto request = KeeperRequest::parse(text);
    ASSERT_FALSE(request) << text;
    EXPECT_EQ(request.error().code, ErrorCode::kCorrupt) << text;
  }
  EXPECT_FALSE(KeeperRequest::parse(R"({"op": "exec", "node": "a"})"));
  EXPECT_FALSE(KeeperAnswer::parse(R"({"text": 1})"));
  EXPECT_FALSE(StartOrder::parse(R"({"name": "x"})"));
  EXPECT_FALSE(StartReport::parse(R"({"event": "party"})"));
}

TEST(LabSocket, NamesAreBounded) {
  EXPECT_TRUE(checkLabName("default"));
  for (const std::string& name : {std::string(), std::string("a/b"), std::string(33, 'a'),
                                  std::string("a\0b", 3), std::string("ä")}) {
    EXPECT_FALSE(checkLabName(name)) << name;
  }
}

TEST(LabSocket, SecondListenerIsRefusedAndTheNameIsFreeAgain) {
  const std::string name = "socket-test-" + std::to_string(::getpid());
  {
    const auto first = listenLab(name);
    ASSERT_TRUE(first) << first.error().describe();
    const auto second = listenLab(name);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
    EXPECT_TRUE(connectLab(name));
  }
  EXPECT_EQ(connectLab(name).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(listenLab(name));
}

}  // namespace
}  // namespace railhead::lab

#include "src/bench/rendezvous.h"

#include <chrono>
#include <future>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace railhead::bench {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

class Rendezvous : public testing::Test {
 protected:
  void SetUp() override {
    listener_ = os::listenTcp(Endpoint::parse("127.0.0.1:0").value()).value();
    endpoint_ = os::boundEndpoint(listener_.get()).value();
  }
  std::future<Result<Channel>> listen(Introduction own, std::chrono::milliseconds within) {
    return std::async(std::launch::async, [this, own, within] {
      return meetAsListener(listener_.get(), own, in(within));
    });
  }

  os::UniqueFd listener_;
  Endpoint endpoint_;
};

TEST_F(Rendezvous, TwoWithOneTokenTalk) {
  auto listening = listen({"test 1", "t"}, 10s);
  Channel there = meetAsConnector(endpoint_, {"test 1", "t"}, in(10s)).value();
  Channel here = listening.get().value();
  ASSERT_TRUE(there.send("hello", in(5s)).has_value());
  EXPECT_EQ(here.receive(in(5s)).value(), "hello");
  ASSERT_TRUE(here.send("", in(5s)).has_value());
  EXPECT_EQ(there.receive(in(5s)).value(), "");
}

TEST_F(Rendezvous, WrongTokenIsRefusedAndTheListenerStaysForTheRightOne) {
  auto listening = listen({"test 1", "right"}, 10s);
  const auto wrong = meetAsConnector(endpoint_, {"test 1", "wrong"}, in(10s));
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(wrong.error().message, HasSubstr("wrong token"));
  EXPECT_TRUE(meetAsConnector(endpoint_, {"test 1", "right"}, in(10s)).has_value());
  EXPECT_TRUE(listening.get().has_value());
}

TEST_F(Rendezvous, AnotherPurposeIsRefusedByName) {
  auto listening = listen({"bench-verbs 1", ""}, 3s);
  const auto other = meetAsConnector(endpoint_, {"bench-verbs 2", ""}, in(10s));
  ASSERT_FALSE(other.has_value());
  EXPECT_THAT(other.error().message, HasSubstr("bench-verbs 1"));
  const auto nobody = listening.get();
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(nobody.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(nobody.error().message, HasSubstr("turned away 1"));
}

TEST_F(Rendezvous, GarbageIsTurnedAwayWithoutBeingRead) {
  auto listening = listen({"test 1", ""}, 10s);
  for (const std::string& garbage : std::vector<std::string>{
           std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\xff\xff\xff\xff", 4),
           std::string("\x03\0\0\0abc", 7), std::string("\x14\0\0\0railhead-rendezvous\n", 24)}) {
    const os::UniqueFd fd = os::connectTcp(endpoint_, in(5s)).value();
    ASSERT_EQ(::send(fd.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(garbage.size()));
    ::shutdown(fd.get(), SHUT_WR);
    const auto answer = os::receiveFrame(fd.get(), in(5s), 1024);
    // A peer that still has unread bytes in flight may see a reset instead of the refusal.
    if (answer.has_value()) {
      EXPECT_THAT(*answer, HasSubstr("refused not a railhead peer"));
    }
  }
  EXPECT_TRUE(meetAsConnector(endpoint_, {"test 1", ""}, in(10s)).has_value());
  EXPECT_TRUE(listening.get().has_value());
}

TEST_F(Rendezvous, NobodyListeningEndsInTime) {
  const Endpoint gone = endpoint_;
  listener_.reset();
  const auto start = std::chrono::steady_clock::now();
  const auto result = meetAsConnector(gone, {"test 1", ""}, in(200ms));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(result.error().message, HasSubstr(gone.toString()));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(Rendezvous, AListenerThatIsSomethingElseIsNamed) {
  auto impostor = std::async(std::launch::async, [this] {
    const auto accepted = os::acceptTcp(listener_.get(), in(5s)).value();
    EXPECT_TRUE(os::receiveFrame(accepted.fd.get(), in(5s), 1024).has_value());
    EXPECT_TRUE(os::sendFrame(accepted.fd.get(), "SSH-2.0", in(5s)).has_value());
  });
  const auto result = meetAsConnector(endpoint_, {"test 1", ""}, in(5s));
  impostor.get();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace railhead::bench

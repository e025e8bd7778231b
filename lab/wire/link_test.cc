#include "lab/wire/link.h"

#include "lab/wire/wire.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace railhead::lab {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using TimePoint = TokenBucket::TimePoint;

constexpr TimePoint kStart{std::chrono::hours(1)};

TEST(TokenBucket, SpacesFramesAtTheRate) {
  TokenBucket bucket(BitRate{1e6}, milliseconds(0));
  EXPECT_LE(bucket.readyAt(), kStart);
  bucket.take(1226, kStart);  // with the overhead 1250 bytes: 10 ms
  EXPECT_EQ(bucket.readyAt(), kStart + milliseconds(10));
  bucket.take(1226, kStart + milliseconds(10));
  EXPECT_EQ(bucket.readyAt(), kStart + milliseconds(20));
  bucket.take(1226, kStart + milliseconds(50));  // idle time is not saved up
  EXPECT_EQ(bucket.readyAt(), kStart + milliseconds(60));
}

TEST(TokenBucket, BurstMakesUpForALateWakeUp) {
  TokenBucket bucket(BitRate{1e6}, milliseconds(30));
  for (int i = 0; i < 4; ++i) {
    EXPECT_LE(bucket.readyAt(), kStart) << i;
    bucket.take(1226, kStart);
  }
  EXPECT_EQ(bucket.readyAt(), kStart + milliseconds(10));
}

TEST(MacTable, LearnsMovesAndStaysBounded) {
  MacTable table(2);
  const Mac a{{2, 0, 0, 0, 0, 1}};
  const Mac b{{2, 0, 0, 0, 0, 2}};
  const Mac c{{2, 0, 0, 0, 0, 3}};
  const Mac group{{1, 0, 0x5e, 0, 0, 1}};
  table.learn(a, 0);
  table.learn(b, 1);
  table.learn(c, 2);
  table.learn(group, 2);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.find(a), 0U);
  EXPECT_FALSE(table.find(c));
  EXPECT_FALSE(table.find(group));
  table.learn(a, 1);
  EXPECT_EQ(table.find(a), 1U);
  table.forgetPort(1);
  EXPECT_EQ(table.size(), 0U);
}

// A link whose ends the test holds like a NIC would, under a clock of the test's own.
class LinkTest : public testing::Test {
 protected:
  void build(std::size_t ends, double rate, double loss = 0) {
    std::vector<os::UniqueFd> wireSides;
    for (std::size_t i = 0; i < ends; ++i) {
      auto patch = makeWirePatch();
      ASSERT_TRUE(patch);
      wireSides.push_back(std::move(patch->wireSide));
      nics_.push_back(std::move(patch->nodeSide));
    }
    link_.emplace("rail0", LinkSettings{BitRate{rate}, false, loss}, std::move(wireSides), 7);
  }
  static std::string frame(char to, char from, std::size_t size = 100) {
    std::string data(size, 'x');
    for (int i = 0; i < 12; ++i) data[static_cast<std::size_t>(i)] = 2;
    data[5] = to;
    data[11] = from;
    if (to == '*') data.replace(0, 6, 6, '\xff');
    return data;
  }
  bool send(std::size_t nic, const std::string& data) {
    return ::send(nics_[nic].get(), data.data(), data.size(), MSG_DONTWAIT) >= 0;
  }
  std::string receive(std::size_t nic) {
    std::string data(10000, '\0');
    const ssize_t length = ::recv(nics_[nic].get(), data.data(), data.size(), MSG_DONTWAIT);
    data.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    return data;
  }
  std::size_t receiveAll(std::size_t nic) {
    std::size_t count = 0;
    while (!receive(nic).empty()) ++count;
    return count;
  }

  std::vector<os::UniqueFd> nics_;
  std::optional<Link> link_;
  TimePoint now_ = kStart;
};

TEST_F(LinkTest, CableCarriesFramesUnchangedBothWays) {
  build(2, 1e9);
  const std::string big = frame('b', 'a', 9018);
  ASSERT_TRUE(send(0, big));
  ASSERT_TRUE(send(1, frame('a', 'b')));
  link_->pump(now_);
  EXPECT_EQ(receive(1), big);
  EXPECT_EQ(receive(0), frame('a', 'b'));
  EXPECT_EQ(receive(0), "");
  EXPECT_EQ(link_->counters(0).frames, 1U);
  EXPECT_EQ(link_->counters(0).bytes, 9018U);
  EXPECT_TRUE(link_->wantsRead(0));
  EXPECT_FALSE(link_->nextDue());
}

TEST_F(LinkTest, RateIsKeptToOverASecondAndNothingIsDropped) {
  build(2, 40e6);
  const std::string data = frame('b', 'a', 1476);  // 1500 bytes of line time: 300 us
  std::size_t sent = 0;
  std::size_t received = 0;
  const TimePoint end = now_ + std::chrono::seconds(1);
  while (now_ < end) {
    while (send(0, data)) ++sent;
    link_->pump(now_);
    received += receiveAll(1);
    ASSERT_TRUE(link_->nextDue());
    now_ =
        std::max(now_ + microseconds(1), *link_->nextDue() + microseconds(80));  // a late wake-up
  }
  // 3333 frames in a second and what the burst lets ahead once: 73.7 KB of four largest frames or 4
  // ms.
  EXPECT_GE(received, 3330U);
  EXPECT_LE(received, 3333U + 30U);
  EXPECT_EQ(link_->counters(0).dropped, 0U);
  EXPECT_GT(sent, received);
  EXPECT_LT(sent - received, 100U);  // the rest was held back: little fits into the sockets
}

TEST_F(LinkTest, DirectionsDoNotShareTheRate) {
  build(2, 1e6);
  while (send(0, frame('b', 'a', 1226))) {
  }
  while (send(1, frame('a', 'b', 1226))) {
  }
  link_->pump(now_);
  const std::size_t there = receiveAll(1);
  EXPECT_EQ(receiveAll(0), there);
  EXPECT_GT(there, 0U);
}

TEST_F(LinkTest, NewRateCountsFromNow) {
  build(2, 1e6);
  while (send(0, frame('b', 'a', 1226))) {
  }
  link_->pump(now_);
  const auto slow = *link_->nextDue();
  link_->change({BitRate{1e9}, false, 0});
  link_->pump(now_);
  EXPECT_TRUE(!link_->nextDue() || *link_->nextDue() < slow);
}

TEST_F(LinkTest, CutLinkSwallowsFramesUntilRestored) {
  build(2, 1e9);
  link_->change({BitRate{1e9}, true, 0});
  ASSERT_TRUE(send(0, frame('b', 'a')));
  link_->pump(now_);
  EXPECT_EQ(receive(1), "");
  EXPECT_EQ(link_->counters(0).dropped, 1U);
  link_->change({BitRate{1e9}, false, 0});
  ASSERT_TRUE(send(0, frame('b', 'a')));
  link_->pump(now_);
  EXPECT_EQ(receiveAll(1), 1U);
}

TEST_F(LinkTest, LossIsWhatWasAskedAndTheSameEveryTime) {
  std::vector<std::size_t> counts;
  for (int run = 0; run < 2; ++run) {
    nics_.clear();
    build(2, 1e11, 10);
    std::size_t received = 0;
    for (int i = 0; i < 2000; ++i) {
      ASSERT_TRUE(send(0, frame('b', 'a')));
      now_ += milliseconds(1);
      link_->pump(now_);
      received += receiveAll(1);
    }
    counts.push_back(received);
    EXPECT_EQ(link_->counters(0).dropped, 2000 - received);
  }
  EXPECT_EQ(counts[0], counts[1]);
  EXPECT_NEAR(static_cast<double>(counts[0]), 1800, 40);
}

TEST_F(LinkTest, MalformedFramesAreDropped) {
  build(2, 1e9);
  ASSERT_TRUE(send(0, "short"));
  ASSERT_TRUE(send(0, frame('b', 'a', 9217)));
  link_->pump(now_);
  EXPECT_EQ(receive(1), "");
  EXPECT_EQ(link_->counters(0).dropped, 2U);
}

TEST_F(LinkTest, ReceiverThatDoesNotReadHoldsTheSenderThenIsGivenUp) {
  build(2, 1e11);
  for (int i = 0; i < 1000 && link_->counters(0).dropped == 0; ++i) {
    while (send(0, frame('b', 'a', 1500))) {
    }
    link_->pump(now_);
    if (link_->wantsWrite(1)) break;
    now_ += microseconds(10);
  }
  ASSERT_TRUE(link_->wantsWrite(1));
  EXPECT_EQ(link_->counters(0).dropped, 0U);
  EXPECT_FALSE(link_->wantsRead(0));
  const std::size_t before = link_->counters(0).frames;
  EXPECT_EQ(link_->nextDue(), now_ + Link::kStall);
  now_ += Link::kStall;
  link_->pump(now_);
  EXPECT_GT(link_->counters(0).dropped, 0U);
  EXPECT_EQ(receiveAll(1), before);
  send(0, frame('b', 'a', 1500));
  link_->pump(now_);
  EXPECT_GT(receiveAll(1), 0U);  // it reads again and gets frames again
}

TEST_F(LinkTest, PeerThatIsGoneCountsAsDropped) {
  build(2, 1e9);
  nics_[1].reset();
  ASSERT_TRUE(send(0, frame('b', 'a')));
  link_->pump(now_);
  EXPECT_EQ(link_->counters(0).dropped, 1U);
  EXPECT_FALSE(link_->wantsWrite(1));
}

TEST_F(LinkTest, SwitchFloodsThenLearns) {
  build(4, 1e9);
  ASSERT_TRUE(send(0, frame('b', 'a')));
  link_->pump(now_);
  for (std::size_t nic = 1; nic < 4; ++nic) EXPECT_EQ(receiveAll(nic), 1U) << nic;
  ASSERT_TRUE(send(1, frame('a', 'b')));
  link_->pump(now_);
  EXPECT_EQ(receiveAll(0), 1U);
  EXPECT_EQ(receiveAll(2) + receiveAll(3), 0U);
  ASSERT_TRUE(send(0, frame('*', 'a')));
  link_->pump(now_);
  for (std::size_t nic = 1; nic < 4; ++nic) EXPECT_EQ(receiveAll(nic), 1U) << nic;
  ASSERT_TRUE(send(0, frame('a', 'z')));  // for an address behind the same port
  link_->pump(now_);
  for (std::size_t nic = 0; nic < 4; ++nic) EXPECT_EQ(receiveAll(nic), 0U) << nic;
  EXPECT_EQ(link_->counters(0).frames, 2U);
}

TEST_F(LinkTest, SwitchPortIsNotFasterWhenTwoSendToIt) {
  build(3, 1e6);
  ASSERT_TRUE(send(2, frame('*', 'c')));
  link_->pump(now_);
  now_ += std::chrono::seconds(1);
  receiveAll(0);
  receiveAll(1);
  std::size_t received = 0;
  const TimePoint end = now_ + std::chrono::seconds(4);
  while (now_ < end) {
    while (send(0, frame('c', 'a', 1226))) {
    }
    while (send(1, frame('c', 'b', 1226))) {
    }
    link_->pump(now_);
    received += receiveAll(2);
    ASSERT_TRUE(link_->nextDue());
    now_ = std::max(now_ + microseconds(1), *link_->nextDue());
  }
  EXPECT_NEAR(static_cast<double>(received), 400, 35);  // 10 ms each, and the burst
  EXPECT_EQ(link_->counters(0).dropped + link_->counters(1).dropped, 0U);
}

}  // namespace
}  // namespace railhead::lab

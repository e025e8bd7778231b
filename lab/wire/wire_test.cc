#include "lab/wire/wire.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

namespace railhead::lab {
namespace {

constexpr int kDeadlineMs = 10000;

bool waitFor(int fd, short events) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, kDeadlineMs) == 1;
}

class WireTest : public testing::Test {
 protected:
  void start(double rate) {
    LinkPlan plan{"rail0", {BitRate{rate}}, {}};
    for (int i = 0; i < 2; ++i) {
      auto patch = makeWirePatch();
      ASSERT_TRUE(patch);
      plan.ends.push_back(std::move(patch->wireSide));
      nics_.push_back(std::move(patch->nodeSide));
    }
    std::vector<LinkPlan> plans;
    plans.push_back(std::move(plan));
    auto wire = Wire::start(std::move(plans));
    ASSERT_TRUE(wire);
    wire_ = std::move(*wire);
  }
  bool send(std::size_t nic) {
    return waitFor(nics_[nic].get(), POLLOUT) &&
           ::send(nics_[nic].get(), frame_.data(), frame_.size(), 0) ==
               static_cast<ssize_t>(frame_.size());
  }
  bool receive(std::size_t nic) {
    std::string data(2000, '\0');
    if (!waitFor(nics_[nic].get(), POLLIN)) return false;
    const ssize_t length = ::recv(nics_[nic].get(), data.data(), data.size(), 0);
    return length == static_cast<ssize_t>(frame_.size());
  }

  std::string frame_ = std::string(1226, '\2');
  std::vector<os::UniqueFd> nics_;
  std::unique_ptr<Wire> wire_;
};

TEST_F(WireTest, PacesByItsOwnTimer) {
  start(10e6);  // 1 ms a frame
  const auto begin = std::chrono::steady_clock::now();
  int sent = 0;
  int received = 0;
  while (received < 200) {
    while (sent < 200 && sent - received < 8) {
      ASSERT_TRUE(send(0));
      ++sent;
    }
    ASSERT_TRUE(receive(1));
    ++received;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took.count(), 0.165);  // the burst may save 30 ms; slowness is the machine's matter
  const auto state = wire_->state();
  ASSERT_EQ(state.size(), 1U);
  EXPECT_EQ(state[0].fromEnd[0].frames, 200U);
  EXPECT_EQ(state[0].fromEnd[0].dropped, 0U);
}

TEST_F(WireTest, ChangesTakeEffectWhileRunning) {
  start(1e9);
  ASSERT_TRUE(send(0));
  ASSERT_TRUE(receive(1));
  const auto cut = wire_->change("rail0", {true, {}, {}});
  ASSERT_TRUE(cut);
  EXPECT_TRUE(cut->cut);
  ASSERT_TRUE(send(0));
  // The frame is gone for certain once the counter says so.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (wire_->state()[0].fromEnd[0].dropped == 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
  const auto back = wire_->change("rail0", {false, BitRate{2e9}, 1.5});
  ASSERT_TRUE(back);
  EXPECT_EQ(back->rate.bitsPerSecond, 2e9);
  EXPECT_EQ(wire_->state()[0].settings.lossPercent, 1.5);
  ASSERT_TRUE(wire_->change("rail0", {{}, {}, 0.0}));
  ASSERT_TRUE(send(0));
  ASSERT_TRUE(receive(1));
}

TEST_F(WireTest, UnknownLinkIsNamed) {
  start(1e9);
  const auto changed = wire_->change("rail9", {true, {}, {}});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(changed.error().message, testing::HasSubstr("'rail9'"));
}

TEST_F(WireTest, StopsWhileFramesWait) {
  start(1e5);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(send(0));
  wire_.reset();
}

}  // namespace
}  // namespace railhead::lab

#include "src/collective/failure_watch.h"

#include <optional>
#include <thread>

#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;

class CountedAborts final : public Communicator {
 public:
  int rank() const override { return 0; }
  int ranks() const override { return 1; }
  BackendDescription describe() const override { return {}; }
  Memory& memory() override { std::abort(); }
  Result<void> supports(const Call&) const override { return {}; }
  Result<void> enqueue(const Call&, const void*, void*) override { return {}; }
  Result<void> wait(Deadline) override { return {}; }
  void abort() override { ++aborts; }

  int aborts = 0;
};

const Error kGone(ErrorCode::kUnavailable, "rank 1 is gone");

class FailureWatchTest : public testing::Test {
 protected:
  std::optional<Error> ended_;
  CountedAborts communicator_;
  std::function<void(const Error&)> end_ = [this](const Error& error) { ended_ = error; };
};

TEST_F(FailureWatchTest, WhatIsConnectedIsAborted) {
  FailureWatch watch(end_);
  watch.connected(&communicator_);
  watch.failed(kGone);
  EXPECT_EQ(communicator_.aborts, 1);
  EXPECT_FALSE(ended_);
}

TEST_F(FailureWatchTest, WhoConnectsStillIsEnded) {
  FailureWatch watch(end_, 1ms);
  watch.failed(kGone);
  ASSERT_TRUE(ended_);
  EXPECT_EQ(ended_->message, kGone.message);
}

TEST_F(FailureWatchTest, WhoEndsByItselfMeanwhileIsLeftToItsOwnWords) {
  for (Communicator* connected :
       {static_cast<Communicator*>(nullptr), static_cast<Communicator*>(&communicator_)}) {
    FailureWatch watch(end_, 60s);
    std::thread group([&] { watch.failed(kGone); });
    std::this_thread::sleep_for(20ms);  // so that it most often waits already
    watch.connected(connected);
    group.join();
    EXPECT_FALSE(ended_);
  }
  EXPECT_EQ(communicator_.aborts, 1);
}

}  // namespace
}  // namespace railhead::collective

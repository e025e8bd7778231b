// Two ranks as threads, over Gloo's TCP, served orders from a list.
#include "src/tune_run/rank_worker.h"

#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_compute.h"
#include "src/collective/host/host_memory.h"
#include "tests/support/free_port.h"
#include "tests/support/memory_filesystem.h"

#include <atomic>
#include <future>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

os::Deadline within(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

class RefusingCompute final : public collective::Compute {
 public:
  std::string describe() const override { return "refuses"; }
  Result<void> start(std::uint64_t /*units*/) override {
    return Error(ErrorCode::kInvalidArgument, "invalid argument (NCCL code 4)");
  }
  Result<void> wait(std::chrono::steady_clock::time_point /*deadline*/) override { return {}; }
  Result<std::uint64_t> done() override { return 0; }
};

class RankWorkerTest : public testing::Test {
 protected:
  RankWorkerTest() {
    files_.put("/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n");
  }

  // What each rank ended with; replies_ holds what was said.
  std::vector<Result<void>> serve(const std::vector<std::string>& orders,
                                  std::function<Result<void>(int, const Setting&)> choose) {
    std::vector<std::future<Result<void>>> running;
    for (int rank = 0; rank < 2; ++rank) {
      running.push_back(std::async(std::launch::async, [&, rank] {
        const collective::World world{rank, 2, rank, "127.0.0.1", port_, "", "node"};
        const auto group =
            collective::Group::join(world, {"tune test", within(20s), 20s, {}}).value();
        collective::HostSettings settings;
        settings.rails = {{collective::HostRail::Kind::kTcp, "127.0.0.1", "", 1, 0}};
        const auto host =
            collective::HostCommunicator::connect(
                rank, 2, settings,
                [&](const std::string& own) { return group->gather(own, within(20s)); },
                std::make_unique<collective::HostMemory>(files_, "/proc/meminfo"))
                .value();
        os::SystemClock clock;
        std::size_t next = 0;
        RankFacts facts;
        facts.node = "node";
        facts.backend = "host";
        facts.rails = static_cast<std::uint64_t>(rank) + 1;
        return serveOrders(
            {*host, *group, clock, [&](const Setting& choice) { return choose(rank, choice); },
             [&]() -> std::optional<std::string> {
               if (next == orders.size()) return std::nullopt;
               return orders[next++];
             },
             [&](const std::string& line) {
               const std::lock_guard lock(mutex_);
               replies_.push_back(decodeReply(line).value());
             },
             10, 1, openCompute_, "--objective histogram=FILE"},
            facts);
      }));
    }
    std::vector<Result<void>> out;
    for (auto& one : running) out.push_back(one.get());
    return out;
  }

  testing_support::MemoryFilesystem files_;
  std::uint16_t port_ = testing_support::freePort();
  std::mutex mutex_;
  std::vector<Reply> replies_;
  std::function<Result<std::unique_ptr<collective::Compute>>()> openCompute_;
};

TEST_F(RankWorkerTest, ServesOrdersAndTellsEachSizesTimes) {
  std::mutex mutex;
  std::vector<std::string> chosen;
  const std::vector<Size> sizes{{"allreduce", 64, false}, {"allgather", 128, false}};
  const auto ends = serve({encode(Order{1, {}, sizes, 2}),
                           encode(Order{2, Setting().with("algorithm", "ring"), sizes, 3})},
                          [&](int rank, const Setting& choice) -> Result<void> {
                            const std::lock_guard lock(mutex);
                            if (rank == 1) chosen.push_back(choice.text());
                            return {};
                          });
  for (const auto& end : ends) EXPECT_TRUE(end.has_value()) << end.error().describe();
  EXPECT_THAT(chosen, testing::ElementsAre("default", "algorithm=ring"));
  ASSERT_EQ(replies_.size(), 6U);
  EXPECT_EQ(replies_[1].facts->facts.rails, 2U);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& times = replies_[2 + i].times;
    ASSERT_TRUE(times.has_value());
    EXPECT_EQ(times->order, i / 2 + 1);
    EXPECT_EQ(times->size, i % 2);
    EXPECT_EQ(times->seconds.size(), i / 2 + 2);
    for (const double seconds : times->seconds) EXPECT_GT(seconds, 0);
  }
}

TEST_F(RankWorkerTest, AnOverlappedSizeIsThePairOfACallAndItsWork) {
  std::atomic<int> opened = 0;
  openCompute_ = [&]() -> Result<std::unique_ptr<collective::Compute>> {
    ++opened;
    return std::unique_ptr<collective::Compute>(std::make_unique<collective::HostCompute>(1));
  };
  const std::vector<Size> sizes{{"allreduce", 65536, true}};
  const auto ends = serve({encode(Order{1, {}, sizes, 1}), encode(Order{2, {}, sizes, 4, {2000}})},
                          [](int, const Setting&) -> Result<void> { return {}; });
  for (const auto& end : ends) EXPECT_TRUE(end.has_value()) << end.error().describe();
  EXPECT_EQ(opened, 2);  // once on each rank
  ASSERT_EQ(replies_.size(), 4U);
  ASSERT_TRUE(replies_[2].work.has_value());
  EXPECT_GE(replies_[2].work->work.unitsPerCall, 1U);
  EXPECT_GT(replies_[2].work->work.pairSeconds, 0);
  ASSERT_TRUE(replies_[3].times.has_value());
  ASSERT_EQ(replies_[3].times->seconds.size(), 4U);
  // 2000 units take milliseconds on any core, and the pair is not done before they are.
  for (const double seconds : replies_[3].times->seconds) EXPECT_GT(seconds, 0.001);
}

TEST_F(RankWorkerTest, WhereNothingComputesAnOverlappedSizeIsRefused) {
  const auto ends = serve({encode(Order{1, {}, {{"allreduce", 64, true}}, 1})},
                          [](int, const Setting&) -> Result<void> { return {}; });
  for (const auto& end : ends) {
    ASSERT_FALSE(end.has_value());
    EXPECT_THAT(end.error().message, HasSubstr("no compute beside its calls"));
  }
}

TEST_F(RankWorkerTest, ASizeThatWouldNotFitIsToldAsThatAndNoCrash) {
  const auto ends = serve({encode(Order{1, {}, {{"allreduce", 8ULL << 30, false}}, 1})},
                          [](int, const Setting&) -> Result<void> { return {}; });
  for (const auto& end : ends) ASSERT_FALSE(end.has_value());
  bool told = false;
  for (const auto& reply : replies_) {
    if (!reply.failed || reply.failed->outcome != Outcome::kNoRoom) continue;
    told = true;
    EXPECT_THAT(reply.failed->detail,
                HasSubstr("--objective histogram=FILE 8 GiB: 2 ranks here would need 48 GiB of "));
    EXPECT_THAT(reply.failed->detail, HasSubstr("(remedy: give at most "));
    EXPECT_THAT(reply.failed->detail, HasSubstr(" with --objective histogram=FILE)"));
  }
  EXPECT_TRUE(told);
}

// As NCCL's ncclInvalidArgument comes: the class says nothing of the memory.
TEST_F(RankWorkerTest, ACallThatFindsItsArgumentsInvalidHasCrashed) {
  openCompute_ = []() -> Result<std::unique_ptr<collective::Compute>> {
    return std::unique_ptr<collective::Compute>(std::make_unique<RefusingCompute>());
  };
  const auto ends = serve({encode(Order{1, {}, {{"allreduce", 64, true}}, 1, {1}})},
                          [](int, const Setting&) -> Result<void> { return {}; });
  for (const auto& end : ends) ASSERT_FALSE(end.has_value());
  bool crashed = false;
  for (const auto& reply : replies_) {
    if (!reply.failed) continue;
    EXPECT_EQ(reply.failed->outcome, Outcome::kCrashed) << reply.failed->detail;
    crashed = true;
  }
  EXPECT_TRUE(crashed);
}

TEST_F(RankWorkerTest, WhatOneRankCannotTakeIsRefusedByAll) {
  const auto ends = serve({encode(Order{1, {}, {{"allreduce", 64, false}}, 1})},
                          [](int rank, const Setting&) -> Result<void> {
                            if (rank == 0) return {};
                            return Error(ErrorCode::kUnsupported, "no such plugin");
                          });
  for (const auto& end : ends) ASSERT_FALSE(end.has_value());
  // A rank may hear that the other one gave up before it hears why; the launcher takes the reason.
  bool refused = false;
  for (const auto& reply : replies_) {
    if (!reply.failed) continue;
    EXPECT_THAT(reply.failed->detail, HasSubstr("no such plugin"));
    refused = refused || reply.failed->outcome == Outcome::kRefused;
  }
  EXPECT_TRUE(refused);
}

}  // namespace
}  // namespace railhead::tune

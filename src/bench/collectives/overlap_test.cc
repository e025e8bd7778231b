// Two ranks as threads, over Gloo's TCP, with compute beside their calls.
#include "src/bench/collectives/overlap.h"

#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "tests/support/free_port.h"
#include "tests/support/memory_filesystem.h"

#include <array>
#include <functional>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

using namespace std::chrono_literals;
using collective::Communicator;
using collective::Compute;

os::Deadline within(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

// Counts what it is given, and takes no time.
class CountedCompute final : public Compute {
 public:
  std::string describe() const override { return "nothing"; }
  Result<void> start(std::uint64_t units) override {
    begun += units;
    ++starts;
    return {};
  }
  Result<void> wait(std::chrono::steady_clock::time_point) override {
    if (begun > 0 && fails) return Error(ErrorCode::kDeadlineExceeded, "it hangs");
    return {};
  }
  Result<std::uint64_t> done() override { return begun - lost; }

  std::uint64_t begun = 0;
  std::uint64_t starts = 0;
  std::uint64_t lost = 0;
  bool fails = false;
};

class OverlapTest : public testing::Test {
 protected:
  OverlapTest() { files_.put("/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n"); }

  void onTwoRanks(const std::function<void(Communicator&, collective::Group&)>& body) {
    std::vector<std::future<void>> running;
    for (int rank = 0; rank < 2; ++rank) {
      running.push_back(std::async(std::launch::async, [&, rank] {
        const collective::World world{rank, 2, rank, "127.0.0.1", port_, "", "node"};
        const auto group =
            collective::Group::join(world, {"overlap test", within(20s), 20s, {}}).value();
        collective::HostSettings settings;
        settings.rails = {{collective::HostRail::Kind::kTcp, "127.0.0.1", "", 1, 0}};
        const auto communicator =
            collective::HostCommunicator::connect(
                rank, 2, settings,
                [&](const std::string& own) { return group->gather(own, within(20s)); },
                std::make_unique<collective::HostMemory>(files_, "/proc/meminfo"))
                .value();
        body(*communicator, *group);
        EXPECT_TRUE(group->barrier(within(20s)));
      }));
    }
    for (auto& one : running) one.get();
  }

  static CollectivePlan one(std::uint64_t bytes) {
    CollectivePlan plan;
    plan.minBytes = plan.maxBytes = bytes;
    plan.inPlace = false;
    plan.exactSamples = 3;
    return plan;
  }

  testing_support::MemoryFilesystem files_;
  std::uint16_t port_ = testing_support::freePort();
};

// A unit takes a microsecond, or longer where the machine is busy, and never less.
class SleepingCompute final : public Compute {
 public:
  std::string describe() const override { return "a bed"; }
  Result<void> start(std::uint64_t units) override {
    left_ += units;
    done_ += units;
    return {};
  }
  Result<void> wait(std::chrono::steady_clock::time_point) override {
    std::this_thread::sleep_for(std::chrono::microseconds(left_));
    left_ = 0;
    return {};
  }
  Result<std::uint64_t> done() override { return done_; }

 private:
  std::uint64_t left_ = 0;
  std::uint64_t done_ = 0;
};

TEST_F(OverlapTest, TheWorkIsTheSameOnEveryRankAndFillsTheTimeOfTheCall) {
  std::array<OverlapWork, 2> works;
  onTwoRanks([&](Communicator& communicator, collective::Group& group) {
    SleepingCompute compute;
    os::SystemClock clock;
    const auto work = chooseOverlapWork(communicator, group, one(1 << 20), clock, compute);
    ASSERT_TRUE(work.has_value()) << work.error().describe();
    works.at(static_cast<std::size_t>(communicator.rank())) = *work;
  });
  EXPECT_EQ(works[0], works[1]);
  const auto units = static_cast<double>(works[0].unitsPerCall);
  EXPECT_GT(works[0].callSeconds, 0);
  EXPECT_GE(units, 1);
  EXPECT_LE(units, works[0].callSeconds * 1e6 + 1);
  EXPECT_GE(works[0].computeSeconds, units * 1e-6 * 0.999);
  EXPECT_GE(works[0].pairSeconds, units * 1e-6 * 0.999);
}

TEST_F(OverlapTest, EveryCallHasItsUnitsBesideIt) {
  onTwoRanks([&](Communicator& communicator, collective::Group& group) {
    CountedCompute compute;
    os::SystemClock clock;
    const auto swept = runSweep(communicator, group, one(4096), clock, {}, Beside{&compute, 7});
    ASSERT_TRUE(swept.has_value()) << swept.error().describe();
    EXPECT_TRUE(swept->report.verified);
    EXPECT_EQ(compute.begun, 7 * compute.starts);
    const auto& line = swept->report.lines.front();
    const auto calls = line.samples.size() * static_cast<std::uint64_t>(line.callsPerSample);
    EXPECT_GE(compute.starts, calls + 2);  // the checked ones, too
  });
}

TEST_F(OverlapTest, ComputeThatHangsEndsTheSweep) {
  onTwoRanks([&](Communicator& communicator, collective::Group& group) {
    CountedCompute compute;
    compute.fails = true;
    os::SystemClock clock;
    const auto swept = runSweep(communicator, group, one(4096), clock, {}, Beside{&compute, 7});
    ASSERT_FALSE(swept.has_value());
    EXPECT_EQ(swept.error().code, ErrorCode::kDeadlineExceeded);
  });
}

TEST(Overlap, WorkThatWasNotDoneIsNoPair) {
  CountedCompute compute;
  ASSERT_TRUE(compute.start(100).has_value());
  EXPECT_TRUE(checkWorkedOff(compute, 10, 90).has_value());
  compute.lost = 1;
  const auto lost = checkWorkedOff(compute, 10, 90);
  ASSERT_FALSE(lost.has_value());
  EXPECT_THAT(lost.error().message, testing::HasSubstr("89 units; begun were at least 90"));
}

TEST(Overlap, HiddenIsWhatThePairSavesOfTheShorter) {
  const OverlapWork work{1, 2, 1};
  EXPECT_DOUBLE_EQ(hiddenShare(work, 2), 1);
  EXPECT_DOUBLE_EQ(hiddenShare(work, 3), 0);
  EXPECT_DOUBLE_EQ(hiddenShare(work, 2.5), 0.5);
  EXPECT_LT(hiddenShare(work, 3.5), 0);
  EXPECT_EQ(hiddenShare(OverlapWork{}, 1), 0);
}

}  // namespace
}  // namespace railhead::bench

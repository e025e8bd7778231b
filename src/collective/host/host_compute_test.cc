#include "src/collective/host/host_compute.h"

#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;

TEST(HostComputeTest, EveryUnitIsWorkedOffOnceByHoweverManyThreads) {
  for (const int threads : {1, 3}) {
    HostCompute compute(threads);
    ASSERT_TRUE(compute.wait(std::chrono::steady_clock::now()).has_value());  // nothing was begun
    for (const std::uint64_t units : {1U, 500U, 0U, 7U}) {
      ASSERT_TRUE(compute.start(units).has_value());
    }
    ASSERT_TRUE(compute.wait(std::chrono::steady_clock::now() + 60s).has_value());
    EXPECT_EQ(compute.done().value(), 508U);
  }
  EXPECT_EQ(HostCompute(1).describe(), "1 thread");
  EXPECT_EQ(HostCompute(3).describe(), "3 threads");
}

TEST(HostComputeTest, WaitingEndsAtItsDeadlineAndTheEndWithWhatIsBegun) {
  const auto begin = std::chrono::steady_clock::now();
  {
    HostCompute compute(1);
    ASSERT_TRUE(compute.start(std::uint64_t{1} << 60).has_value());
    const auto late = compute.wait(begin + 5ms);
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
}

TEST(HostComputeTest, RanksOfOneMachineShareItsCores) {
  EXPECT_GE(computeThreads(1), 1);
  EXPECT_LE(computeThreads(2), computeThreads(1));
  EXPECT_EQ(computeThreads(1 << 20), 1);
}

}  // namespace
}  // namespace railhead::collective

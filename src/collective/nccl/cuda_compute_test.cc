#include "src/collective/nccl/cuda_compute.h"

#include "tests/support/cuda_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;

TEST(CudaComputeTest, WorksOffWhatItIsGivenOnAStreamOfItsOwn) {
  testing_support::CudaFixture fixture;
  {
    const auto compute = CudaCompute::open(fixture.context()).value();
    EXPECT_THAT(compute->describe(), testing::HasSubstr("132 multiprocessors of NVIDIA H200"));
    for (const std::uint64_t units : {1U, 0U, 40U}) {
      ASSERT_TRUE(compute->start(units).has_value());
      const auto waited = compute->wait(std::chrono::steady_clock::now() + 20s);
      ASSERT_TRUE(waited.has_value()) << waited.error().describe();
    }
    EXPECT_EQ(compute->done().value(), 41U);
  }
  EXPECT_EQ(fixture.objects(), 0);
}

TEST(CudaComputeTest, ALaunchThatFailsSaysSo) {
  testing_support::CudaFixture fixture;
  const auto compute = CudaCompute::open(fixture.context()).value();
  fixture.command("fail cuLaunchKernel 701");
  const auto failed = compute->start(1);
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().message, testing::HasSubstr("compute beside a collective"));
}

}  // namespace
}  // namespace railhead::collective

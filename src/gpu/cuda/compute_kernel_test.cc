#include "src/gpu/cuda/compute_kernel.h"

#include "tests/support/cuda_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::gpu::cuda {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(ComputeKernelTest, EveryBlockOfEveryLaunchCountsItself) {
  testing_support::CudaFixture fixture;
  const auto context = fixture.context();
  const auto kernel = ComputeKernel::load(*context).value();
  const auto stream = context->createStream().value();
  const auto done = [&] {
    return kernel->done(stream, std::chrono::steady_clock::now() + 10s).value();
  };
  EXPECT_EQ(done(), 0U);
  std::uint64_t begun = 0;
  for (const std::uint64_t units :
       {std::uint64_t{0}, std::uint64_t{1}, ComputeKernel::kUnitsInLaunch,
        3 * ComputeKernel::kUnitsInLaunch + 1}) {
    ASSERT_TRUE(kernel->start(stream, units).has_value());
    begun += units;
    EXPECT_EQ(done(), begun);
  }
}

// The loop counts down to zero from a number that is never zero, and the result can be seen.
TEST(ComputeKernelTest, TheTextKeepsWhatItComputes) {
  const std::string ptx = computePtx();
  EXPECT_THAT(ptx, HasSubstr(".visible .entry compute_pieces("));
  EXPECT_THAT(ptx, HasSubstr("setp.lt.f32 p_never, r_value"));
  EXPECT_THAT(ptx, HasSubstr("atom.global.add.u64"));
}

}  // namespace
}  // namespace railhead::gpu::cuda

#include "src/gpu/cuda/compute_kernel.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace railhead::gpu::cuda {
namespace {

// Eight blocks of 256 threads fill a multiprocessor of 2048 threads; a block of so many rounds then
// takes about 5 µs on an H200.
constexpr unsigned kComputeThreads = 256;
constexpr unsigned kBlocksOnEach = 8;
constexpr std::uint32_t kRounds = 48;

// As of the pattern kernels: PTX 6.3 is the first that knows sm_75. The value stays above zero,
// which the compiler cannot know: so it is worked out. Thread 0 counts its block.
constexpr std::string_view kText = R"(.version 6.3
.target sm_75
.address_size 64

.visible .entry compute_pieces(
  .param .u32 rounds_, .param .u64 tally_)
{
  .reg .pred p_more, p_counts, p_never;
  .reg .b32 r_rounds, r_thread;
  .reg .b64 r_tally, r_old;
  .reg .f32 r_value, r_scale, r_step;
  ld.param.u32 r_rounds, [rounds_];
  ld.param.u64 r_tally, [tally_];
  cvta.to.global.u64 r_tally, r_tally;
  mov.u32 r_thread, %tid.x;
  cvt.rn.f32.u32 r_value, r_thread;
  mov.f32 r_scale, 0f3F7FFFEF;
  mov.f32 r_step, 0f358637BD;
next_round:
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  fma.rn.f32 r_value, r_value, r_scale, r_step;
  sub.u32 r_rounds, r_rounds, 1;
  setp.ne.u32 p_more, r_rounds, 0;
  @p_more bra next_round;
  setp.lt.f32 p_never, r_value, 0f00000000;
  setp.eq.u32 p_counts, r_thread, 0;
  or.pred p_counts, p_counts, p_never;
  @!p_counts ret;
  atom.global.add.u64 r_old, [r_tally], 1;
  ret;
}
)";

}  // namespace

std::string computePtx() { return std::string(kText); }

Result<std::unique_ptr<ComputeKernel>> ComputeKernel::load(const Context& context) {
  RAILHEAD_TRY_ASSIGN(auto module, context.load(computePtx()));
  RAILHEAD_TRY_ASSIGN(const Kernel kernel, module.kernel("compute_pieces"));
  RAILHEAD_TRY_ASSIGN(auto tally, context.allocate(sizeof(std::uint64_t)));
  RAILHEAD_TRY_ASSIGN(const auto stream, context.createStream());
  RAILHEAD_TRY(stream.setBytes(tally.address(), 0, sizeof(std::uint64_t)));
  RAILHEAD_TRY(stream.wait(std::chrono::steady_clock::now() + std::chrono::seconds(60)));
  const auto blocks =
      kBlocksOnEach * static_cast<unsigned>(std::max(1, context.facts().multiprocessors));
  return std::unique_ptr<ComputeKernel>(
      new ComputeKernel(std::move(module), kernel, std::move(tally), blocks));
}

Result<void> ComputeKernel::start(const Stream& stream, std::uint64_t units) const {
  std::uint32_t rounds = kRounds;
  std::uint64_t tally = tally_.address();
  std::array<void*, 2> arguments{&rounds, &tally};
  while (units > 0) {
    const auto now = std::min(units, kUnitsInLaunch);
    RAILHEAD_TRY(stream.launch(kernel_, static_cast<unsigned>(now) * blocksInUnit_, kComputeThreads,
                               arguments));
    units -= now;
  }
  return {};
}

Result<std::uint64_t> ComputeKernel::done(const Stream& stream, Deadline deadline) const {
  std::uint64_t blocks = 0;
  RAILHEAD_TRY(stream.copyToHost(std::as_writable_bytes(std::span(&blocks, 1)), tally_.address()));
  RAILHEAD_TRY(stream.wait(deadline));
  return blocks / blocksInUnit_;
}

}  // namespace railhead::gpu::cuda

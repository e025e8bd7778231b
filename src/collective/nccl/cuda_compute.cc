#include "src/collective/nccl/cuda_compute.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace railhead::collective {
namespace {

// As of a communicator's waiting: naps grow with what is waited for, so that no measurement shows
// them.
constexpr std::chrono::milliseconds kComputeSpin{1};
constexpr int kComputeNapShare = 256;
constexpr std::chrono::microseconds kShortestComputeNap{10};
constexpr std::chrono::microseconds kLongestComputeNap{500};
constexpr std::chrono::seconds kCountPatience{60};

}  // namespace

Result<std::unique_ptr<CudaCompute>> CudaCompute::open(
    std::shared_ptr<const gpu::cuda::Context> context) {
  RAILHEAD_TRY_ASSIGN(auto kernel, gpu::cuda::ComputeKernel::load(*context));
  RAILHEAD_TRY_ASSIGN(auto stream, context->createStream());
  return std::unique_ptr<CudaCompute>(
      new CudaCompute(std::move(context), std::move(stream), std::move(kernel)));
}

std::string CudaCompute::describe() const {
  return std::to_string(context_->facts().multiprocessors) + " multiprocessors of " +
         context_->facts().name;
}

Result<void> CudaCompute::start(std::uint64_t units) {
  return kernel_->start(stream_, units).addContext("compute beside a collective");
}

Result<void> CudaCompute::wait(std::chrono::steady_clock::time_point deadline) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    RAILHEAD_TRY_ASSIGN(const bool idle, stream_.idle());
    if (idle) return {};
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      return Error(ErrorCode::kDeadlineExceeded,
                   "compute on " + describe() + " beside a collective did not end in time");
    }
    if (now - begin < kComputeSpin) continue;
    const auto nap = std::clamp<std::chrono::steady_clock::duration>(
        (now - begin) / kComputeNapShare, kShortestComputeNap, kLongestComputeNap);
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(nap, deadline - now));
  }
}

Result<std::uint64_t> CudaCompute::done() {
  return kernel_->done(stream_, std::chrono::steady_clock::now() + kCountPatience);
}

}  // namespace railhead::collective

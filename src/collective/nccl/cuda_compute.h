// Compute on the GPU that a rank's calls run on: kernels on a stream of their own.
#pragma once

#include "src/collective/compute.h"
#include "src/gpu/cuda/compute_kernel.h"
#include "src/gpu/cuda/context.h"

#include <memory>

namespace railhead::collective {

class CudaCompute final : public Compute {
 public:
  // Compiles the kernel for this device. kEnvironment: the driver cannot.
  static Result<std::unique_ptr<CudaCompute>> open(
      std::shared_ptr<const gpu::cuda::Context> context);

  std::string describe() const override;
  Result<void> start(std::uint64_t units) override;
  Result<void> wait(std::chrono::steady_clock::time_point deadline) override;
  Result<std::uint64_t> done() override;

 private:
  CudaCompute(std::shared_ptr<const gpu::cuda::Context> context, gpu::cuda::Stream stream,
              std::unique_ptr<gpu::cuda::ComputeKernel> kernel)
      : context_(std::move(context)), stream_(std::move(stream)), kernel_(std::move(kernel)) {}

  std::shared_ptr<const gpu::cuda::Context> context_;
  gpu::cuda::Stream stream_;
  std::unique_ptr<gpu::cuda::ComputeKernel> kernel_;
};

}  // namespace railhead::collective

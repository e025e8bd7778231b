// Memory that a GPU works on: its own, or pinned memory of the host. Filled, spoilt and checked by
// the GPU. Used by one thread at a time.
#pragma once

#include "src/collective/communicator.h"
#include "src/gpu/cuda/context.h"
#include "src/gpu/cuda/pattern_kernels.h"

#include <functional>
#include <memory>

namespace railhead::collective {

struct CudaMemorySettings {
  MemoryKind kind = MemoryKind::kDevice;  // or kHostPinned
  // The host's room: asked for pinned memory, and where the device shares the host's memory, since
  // CUDA counts what the kernel could free at once as taken. Empty: CUDA's own figures.
  std::function<Result<Memory::Room>()> hostRoom;
  std::chrono::milliseconds patience{60'000};  // for one fill or check
};

class CudaMemory final : public Memory {
 public:
  // Compiles the kernels for this device. kEnvironment: the driver cannot.
  static Result<std::unique_ptr<CudaMemory>> open(std::shared_ptr<const gpu::cuda::Context> context,
                                                  CudaMemorySettings settings);

  MemoryKind kind() const override { return settings_.kind; }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override;
  Result<Room> room() override;
  Result<void> fill(Buffer& buffer, const std::vector<Expectation>& parts) override;
  Result<void> spoil(Buffer& buffer) override;
  Result<DataCheck> check(const Buffer& buffer, const std::vector<Expectation>& parts) override;

 private:
  CudaMemory(std::shared_ptr<const gpu::cuda::Context> context, CudaMemorySettings settings,
             std::shared_ptr<const gpu::cuda::PatternKernels> kernels, gpu::cuda::Stream stream,
             gpu::cuda::DeviceMemory tally)
      : context_(std::move(context)),
        settings_(std::move(settings)),
        kernels_(std::move(kernels)),
        stream_(std::move(stream)),
        tally_(std::move(tally)) {}
  Result<void> finish();

  std::shared_ptr<const gpu::cuda::Context> context_;
  CudaMemorySettings settings_;
  std::shared_ptr<const gpu::cuda::PatternKernels> kernels_;
  gpu::cuda::Stream stream_;
  gpu::cuda::DeviceMemory tally_;
};

// What the kernels are told to put at `address`, or to expect there.
gpu::cuda::PatternRun patternRun(const Expectation& part, std::uint64_t address);

}  // namespace railhead::collective

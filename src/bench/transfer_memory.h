// The memory that bytes move from and into: of the host, pinned by CUDA, or of a GPU and registered
// with the NIC by dma-buf or by its address (nvidia-peermem). GPU memory is filled and compared on
// the host, through copies by the GPU's own engines: the NIC and they are different paths to the
// same bytes. Not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/bench/pattern.h"
#include "src/verbs/verbs.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::gpu::cuda {
class Context;
}

namespace railhead::bench {

enum class TransferMemory { kHost, kCudaHost, kCudaDmabuf, kCudaPeermem };
std::string_view transferMemoryName(TransferMemory memory);  // "cuda-dmabuf"
Result<TransferMemory> parseTransferMemory(std::string_view name);
// The CPU neither fills it nor sees what arrives there.
bool isDeviceMemory(TransferMemory memory);

// One end's choice. `context` is null for kHost only.
struct MemoryChoice {
  TransferMemory memory = TransferMemory::kHost;
  std::shared_ptr<const gpu::cuda::Context> context;

  std::string gpuName() const;  // "NVIDIA H200"; empty for kHost
};

// Opens the GPU (an ordinal or a UUID) where `memory` needs one. kEnvironment says what is missing;
// kNotFound lists the GPUs that there are. `libraries`: names of the CUDA driver's library.
Result<MemoryChoice> chooseMemory(TransferMemory memory, const std::string& gpu,
                                  const std::vector<std::string>& libraries);

// A registered buffer.
class TransferBuffer {
 public:
  // kEnvironment: this GPU, NIC, kernel or driver cannot; the message says which step and why.
  // kExhausted: there is not enough of it.
  static Result<std::unique_ptr<TransferBuffer>> make(const MemoryChoice& choice,
                                                      verbs::DeviceContext& device,
                                                      std::size_t bytes);
  virtual ~TransferBuffer() = default;

  // Valid as long as the buffer.
  virtual const verbs::MemoryRegion& region() const = 0;
  // As this process sees it; empty for a GPU's.
  virtual std::span<std::byte> bytes() const = 0;

  // The first `bytes` with the pattern, or with its inverse (src/bench/pattern.h).
  virtual Result<void> fillPattern(std::size_t bytes, std::uint64_t seed) = 0;
  virtual Result<void> fillInverted(std::size_t bytes, std::uint64_t seed) = 0;
  // The first `bytes`, of which `written` should be the pattern and the rest its inverse.
  virtual Result<std::optional<Mismatch>> compare(std::size_t bytes, std::uint64_t seed,
                                                  std::size_t written) = 0;
};

}  // namespace railhead::bench

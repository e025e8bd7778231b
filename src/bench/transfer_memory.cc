#include "src/bench/transfer_memory.h"

#include "src/base/text.h"
#include "src/gpu/cuda/context.h"
#include "src/gpu/cuda/cuda.h"
#include "src/verbs/buffer.h"

#include <array>
#include <chrono>
#include <utility>

namespace railhead::bench {
namespace {

constexpr std::array<std::pair<TransferMemory, std::string_view>, 4> kMemoryNames{
    {{TransferMemory::kHost, "host"},
     {TransferMemory::kCudaHost, "cuda-host"},
     {TransferMemory::kCudaDmabuf, "cuda-dmabuf"},
     {TransferMemory::kCudaPeermem, "cuda-peermem"}}};

// CUDA deals out its memory in blocks of this size; only a whole one begins on a page of the host,
// and nvidia-peermem wants the GPU's pages of 64 KiB.
constexpr std::size_t kDeviceBlock = std::size_t{2} << 20;
constexpr std::chrono::seconds kCopyTime{60};

// What a machine cannot do is what its environment lacks.
Error lacking(TransferMemory memory, Error error) {
  if (error.code == ErrorCode::kUnsupported || error.code == ErrorCode::kNotFound)
    error.code = ErrorCode::kEnvironment;
  return std::move(error).addContext("--memory " + std::string(transferMemoryName(memory)));
}

// Plain and pinned memory alike: the CPU works on it.
template <typename Memory>
class VisibleBuffer final : public TransferBuffer {
 public:
  VisibleBuffer(Memory memory, std::span<std::byte> bytes,
                std::unique_ptr<verbs::MemoryRegion> region)
      : memory_(std::move(memory)), bytes_(bytes), region_(std::move(region)) {}

  const verbs::MemoryRegion& region() const override { return *region_; }
  std::span<std::byte> bytes() const override { return bytes_; }
  Result<void> fillPattern(std::size_t bytes, std::uint64_t seed) override {
    bench::fillPattern(bytes_.first(bytes), seed);
    return {};
  }
  Result<void> fillInverted(std::size_t bytes, std::uint64_t seed) override {
    bench::fillInverted(bytes_.first(bytes), seed);
    return {};
  }
  Result<std::optional<Mismatch>> compare(std::size_t bytes, std::uint64_t seed,
                                          std::size_t written) override {
    return findMismatch(bytes_.first(bytes), seed, written);
  }

 private:
  Memory memory_;
  std::span<std::byte> bytes_;
  std::unique_ptr<verbs::MemoryRegion> region_;
};

// A GPU's memory, with a copy on the host to fill and compare.
class DeviceBuffer final : public TransferBuffer {
 public:
  DeviceBuffer(const MemoryChoice& choice, gpu::cuda::DeviceMemory memory, gpu::cuda::Stream stream,
               verbs::Buffer copy, std::unique_ptr<verbs::MemoryRegion> region)
      : choice_(choice),
        memory_(std::move(memory)),
        stream_(std::move(stream)),
        copy_(std::move(copy)),
        region_(std::move(region)) {}

  const verbs::MemoryRegion& region() const override { return *region_; }
  std::span<std::byte> bytes() const override { return {}; }
  Result<void> fillPattern(std::size_t bytes, std::uint64_t seed) override {
    bench::fillPattern(copy_.bytes().first(bytes), seed);
    return upload(bytes);
  }
  Result<void> fillInverted(std::size_t bytes, std::uint64_t seed) override {
    bench::fillInverted(copy_.bytes().first(bytes), seed);
    return upload(bytes);
  }
  Result<std::optional<Mismatch>> compare(std::size_t bytes, std::uint64_t seed,
                                          std::size_t written) override {
    // Not every driver needs or has it.
    static_cast<void>(choice_.context->flushRemoteWrites());
    const auto seen = copy_.bytes().first(bytes);
    RAILHEAD_TRY(stream_.copyToHost(seen, memory_.address()));
    RAILHEAD_TRY(stream_.wait(std::chrono::steady_clock::now() + kCopyTime));
    return findMismatch(seen, seed, written);
  }

 private:
  Result<void> upload(std::size_t bytes) {
    RAILHEAD_TRY(stream_.copyToDevice(memory_.address(), copy_.bytes().first(bytes)));
    return stream_.wait(std::chrono::steady_clock::now() + kCopyTime);
  }

  MemoryChoice choice_;
  gpu::cuda::DeviceMemory memory_;
  gpu::cuda::Stream stream_;
  verbs::Buffer copy_;
  std::unique_ptr<verbs::MemoryRegion> region_;  // ends before its memory
};

Result<std::unique_ptr<verbs::MemoryRegion>> registerWithDevice(const MemoryChoice& choice,
                                                                verbs::DeviceContext& device,
                                                                const verbs::DeviceSpan& span) {
  if (choice.memory == TransferMemory::kCudaDmabuf) {
    RAILHEAD_TRY_ASSIGN(const auto fd, choice.context->exportDmabuf(span.address, span.size));
    return device.registerDmabuf(fd.get(), 0, span);
  }
  RAILHEAD_TRY(choice.context->orderWithRemoteAccess(span.address));
  return device.registerDevicePointer(span);
}

// Whatever errno a driver has for it: this memory, for this NIC, is what the environment lacks.
Error asMissing(Error error) {
  error.code = ErrorCode::kEnvironment;
  return error;
}

Result<std::unique_ptr<TransferBuffer>> makeOnDevice(const MemoryChoice& choice,
                                                     verbs::DeviceContext& device,
                                                     std::size_t bytes) {
  const std::size_t whole = (bytes + kDeviceBlock - 1) / kDeviceBlock * kDeviceBlock;
  RAILHEAD_TRY_ASSIGN(auto memory, choice.context->allocate(whole));
  RAILHEAD_TRY_ASSIGN(auto stream, choice.context->createStream());
  RAILHEAD_TRY_ASSIGN(auto copy, verbs::Buffer::allocate(bytes));
  auto region = registerWithDevice(choice, device, {memory.address(), whole});
  if (!region.has_value()) return asMissing(std::move(region).error());
  return std::make_unique<DeviceBuffer>(choice, std::move(memory), std::move(stream),
                                        std::move(copy), std::move(*region));
}

Result<std::unique_ptr<TransferBuffer>> makeVisible(const MemoryChoice& choice,
                                                    verbs::DeviceContext& device,
                                                    std::size_t bytes) {
  if (choice.memory == TransferMemory::kHost) {
    RAILHEAD_TRY_ASSIGN(auto memory, verbs::Buffer::allocate(bytes));
    const auto all = memory.bytes();
    auto region = device.registerMemory(all);
    if (!region.has_value()) return asMissing(std::move(region).error());
    return std::make_unique<VisibleBuffer<verbs::Buffer>>(std::move(memory), all,
                                                          std::move(*region));
  }
  RAILHEAD_TRY_ASSIGN(auto memory, choice.context->allocatePinned(bytes));
  const std::span<std::byte> all(static_cast<std::byte*>(memory.data()), bytes);
  auto region = device.registerMemory(all);
  if (!region.has_value()) return asMissing(std::move(region).error());
  return std::make_unique<VisibleBuffer<gpu::cuda::PinnedMemory>>(std::move(memory), all,
                                                                  std::move(*region));
}

}  // namespace

std::string_view transferMemoryName(TransferMemory memory) {
  for (const auto& [each, name] : kMemoryNames) {
    if (each == memory) return name;
  }
  return "";
}

Result<TransferMemory> parseTransferMemory(std::string_view name) {
  for (const auto& [memory, each] : kMemoryNames) {
    if (each == name) return memory;
  }
  return Error(
      ErrorCode::kInvalidArgument,
      "memory " + inQuotes(name) + ": allowed is host, cuda-host, cuda-dmabuf or cuda-peermem");
}

bool isDeviceMemory(TransferMemory memory) {
  return memory == TransferMemory::kCudaDmabuf || memory == TransferMemory::kCudaPeermem;
}

std::string MemoryChoice::gpuName() const { return context ? context->facts().name : ""; }

Result<MemoryChoice> chooseMemory(TransferMemory memory, const std::string& gpu,
                                  const std::vector<std::string>& libraries) {
  if (memory == TransferMemory::kHost) return MemoryChoice{};
  auto opened = [&]() -> Result<MemoryChoice> {
    RAILHEAD_TRY_ASSIGN(const auto opening, gpu::cuda::Cuda::open(libraries));
    if (!opening.cuda) {
      return Error(ErrorCode::kEnvironment, "no CUDA here: " + opening.absence,
                   "it needs a GPU and its driver's libcuda.so.1; --memory host needs neither");
    }
    RAILHEAD_TRY_ASSIGN(const auto facts, opening.cuda->device(gpu));
    RAILHEAD_TRY_ASSIGN(auto context, opening.cuda->retain(facts.ordinal));
    return MemoryChoice{memory, std::move(context)};
  }();
  if (!opened.has_value()) return lacking(memory, std::move(opened).error());
  return opened;
}

Result<std::unique_ptr<TransferBuffer>> TransferBuffer::make(const MemoryChoice& choice,
                                                             verbs::DeviceContext& device,
                                                             std::size_t bytes) {
  if (choice.memory == TransferMemory::kHost) return makeVisible(choice, device, bytes);
  auto made = isDeviceMemory(choice.memory) ? makeOnDevice(choice, device, bytes)
                                            : makeVisible(choice, device, bytes);
  if (!made.has_value()) return lacking(choice.memory, std::move(made).error());
  return made;
}

}  // namespace railhead::bench

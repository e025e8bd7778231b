#include "src/collective/nccl/cuda_memory.h"

#include <span>
#include <utility>

namespace railhead::collective {
namespace {

using gpu::cuda::PatternElement;
using gpu::cuda::PatternRun;
using gpu::cuda::PatternTally;

constexpr std::uint32_t kWordSalt = 0x9e3779b9U;
constexpr std::uint32_t kNumberSalt = 0x85ebca6bU;
constexpr std::uint8_t kSpoilt = 0x5a;

class DeviceBuffer final : public Buffer {
 public:
  explicit DeviceBuffer(gpu::cuda::DeviceMemory memory) : memory_(std::move(memory)) {}
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the device's
  void* data() const override { return reinterpret_cast<void*>(memory_.address()); }
  std::size_t size() const override { return memory_.size(); }

 private:
  gpu::cuda::DeviceMemory memory_;
};

class PinnedBuffer final : public Buffer {
 public:
  explicit PinnedBuffer(gpu::cuda::PinnedMemory memory) : memory_(std::move(memory)) {}
  // With unified addressing, which every 64-bit system has, the device knows it by this too.
  void* data() const override { return memory_.data(); }
  std::size_t size() const override { return memory_.size(); }

 private:
  gpu::cuda::PinnedMemory memory_;
};

PatternElement elementOf(ElementType type) {
  switch (type) {
    case ElementType::kInt8:
    case ElementType::kUint8:
      return PatternElement::kByte;
    case ElementType::kInt32:
      return PatternElement::kInt32;
    case ElementType::kInt64:
      return PatternElement::kInt64;
    case ElementType::kFloat16:
      return PatternElement::kFloat16;
    case ElementType::kBfloat16:
      return PatternElement::kBfloat16;
    case ElementType::kFloat32:
      return PatternElement::kFloat32;
    case ElementType::kFloat64:
      return PatternElement::kFloat64;
  }
  return PatternElement::kByte;
}

std::uint64_t addressOf(const Buffer& buffer) {
  return reinterpret_cast<std::uintptr_t>(buffer.data());
}

Result<PatternRun> runWithin(const Buffer& buffer, const Expectation& part) {
  if (part.offset > buffer.size() || part.bytes > buffer.size() - part.offset)
    return Error(ErrorCode::kInternal, "a pattern beyond its buffer");
  return patternRun(part, addressOf(buffer) + part.offset);
}

}  // namespace

PatternRun patternRun(const Expectation& part, std::uint64_t address) {
  const auto salt = [&](std::uint32_t factor, int rank) {
    return factor * (static_cast<std::uint32_t>(rank) + 1) + mix32(part.seed) + part.firstIndex;
  };
  PatternRun run;
  run.address = address;
  run.bytes = part.bytes;
  if (part.kind == Expectation::Kind::kWords) {
    run.start = salt(kWordSalt, part.rank);
    return run;
  }
  run.element = elementOf(part.type);
  run.mask = numberMask(part.ranks);
  const int stride = numberStride(part.ranks);
  if (part.kind == Expectation::Kind::kNumbers) {
    run.start = salt(kNumberSalt, part.rank);
    run.terms = part.rank % stride == 0 ? 1 : 0;
    return run;
  }
  run.start = salt(kNumberSalt, 0);
  run.step = kNumberSalt * static_cast<std::uint32_t>(stride);
  run.terms = static_cast<std::uint32_t>(contributors(part.ranks));
  return run;
}

Result<std::unique_ptr<CudaMemory>> CudaMemory::open(
    std::shared_ptr<const gpu::cuda::Context> context, CudaMemorySettings settings) {
  RAILHEAD_TRY_ASSIGN(auto kernels, gpu::cuda::PatternKernels::load(*context));
  RAILHEAD_TRY_ASSIGN(auto stream, context->createStream());
  RAILHEAD_TRY_ASSIGN(auto tally, context->allocate(sizeof(PatternTally)));
  return std::unique_ptr<CudaMemory>(new CudaMemory(std::move(context), std::move(settings),
                                                    std::move(kernels), std::move(stream),
                                                    std::move(tally)));
}

Result<std::unique_ptr<Buffer>> CudaMemory::allocate(std::size_t bytes) {
  if (settings_.kind == MemoryKind::kHostPinned) {
    RAILHEAD_TRY_ASSIGN(auto pinned, context_->allocatePinned(bytes));
    return std::unique_ptr<Buffer>(std::make_unique<PinnedBuffer>(std::move(pinned)));
  }
  RAILHEAD_TRY_ASSIGN(auto memory, context_->allocate(bytes));
  return std::unique_ptr<Buffer>(std::make_unique<DeviceBuffer>(std::move(memory)));
}

Result<Memory::Room> CudaMemory::room() {
  const bool ofHost = settings_.kind == MemoryKind::kHostPinned || context_->facts().integrated;
  if (ofHost && settings_.hostRoom) {
    RAILHEAD_TRY_ASSIGN(Room room, settings_.hostRoom());
    room.ofNode = true;
    return room;
  }
  RAILHEAD_TRY_ASSIGN(const auto device, context_->room());
  const auto& facts = context_->facts();
  return Room{device.freeBytes, device.totalBytes, facts.integrated,
              facts.integrated ? "" : facts.uuid};
}

Result<void> CudaMemory::finish() {
  return stream_.wait(std::chrono::steady_clock::now() + settings_.patience);
}

Result<void> CudaMemory::fill(Buffer& buffer, const std::vector<Expectation>& parts) {
  for (const Expectation& part : parts) {
    RAILHEAD_TRY_ASSIGN(const PatternRun run, runWithin(buffer, part));
    RAILHEAD_TRY(kernels_->fill(stream_, run));
  }
  return finish().addContext("fill a buffer");
}

Result<void> CudaMemory::spoil(Buffer& buffer) {
  RAILHEAD_TRY(stream_.setBytes(addressOf(buffer), kSpoilt, buffer.size()));
  return finish().addContext("spoil a buffer");
}

Result<DataCheck> CudaMemory::check(const Buffer& buffer, const std::vector<Expectation>& parts) {
  PatternTally tally;
  RAILHEAD_TRY(stream_.copyToDevice(tally_.address(), std::as_bytes(std::span(&tally, 1))));
  DataCheck out;
  for (const Expectation& part : parts) {
    RAILHEAD_TRY_ASSIGN(const PatternRun run, runWithin(buffer, part));
    RAILHEAD_TRY(kernels_->check(stream_, run, part.offset, tally_.address()));
    out.bytesChecked += part.bytes;
  }
  RAILHEAD_TRY(stream_.copyToHost(std::as_writable_bytes(std::span(&tally, 1)), tally_.address()));
  RAILHEAD_TRY(finish().addContext("check a buffer"));
  out.elementsWrong = tally.wrong;
  if (tally.wrong > 0) out.firstWrong = tally.first;
  return out;
}

}  // namespace railhead::collective

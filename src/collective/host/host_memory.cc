#include "src/collective/host/host_memory.h"

#include "src/base/text.h"
#include "src/collective/host/element_math.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace railhead::collective {
namespace {

constexpr std::size_t kAlignment = 4096;
constexpr std::byte kSpoilt{0x5a};
constexpr std::size_t kWord = sizeof(std::uint32_t);

class HostBuffer final : public Buffer {
 public:
  HostBuffer(void* memory, std::size_t size) : memory_(memory), size_(size) {}
  ~HostBuffer() override { std::free(memory_); }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  void* data() const override { return memory_; }
  std::size_t size() const override { return size_; }

 private:
  void* memory_;
  std::size_t size_;
};

// The bytes of one element (or word) of a part.
struct Element {
  std::array<std::byte, 8> bytes{};
  std::size_t size = 0;
};

Element expected(const Expectation& part, std::uint32_t index) {
  Element out;
  if (part.kind == Expectation::Kind::kWords) {
    const std::uint32_t word = patternWord(part.seed, part.rank, index);
    for (std::size_t i = 0; i < kWord; ++i) out.bytes[i] = static_cast<std::byte>(word >> (8 * i));
    out.size = kWord;
    return out;
  }
  const std::uint32_t number = part.kind == Expectation::Kind::kNumbers
                                   ? patternNumber(part.seed, part.rank, part.ranks, index)
                                   : patternSum(part.seed, part.ranks, index);
  storeNumber(part.type, number, out.bytes.data());
  out.size = elementBytes(part.type);
  return out;
}

Result<std::span<std::byte>> within(const Buffer& buffer, const Expectation& part) {
  if (part.offset > buffer.size() || part.bytes > buffer.size() - part.offset) {
    return Error(ErrorCode::kInternal, "a pattern beyond its buffer");
  }
  return std::span(static_cast<std::byte*>(buffer.data()) + part.offset, part.bytes);
}

}  // namespace

Result<std::unique_ptr<Buffer>> HostMemory::allocate(std::size_t bytes) {
  const std::size_t whole =
      std::max(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  void* memory = whole < bytes ? nullptr : std::aligned_alloc(kAlignment, whole);
  if (memory == nullptr) {
    return Error(ErrorCode::kExhausted, "no " + std::to_string(bytes) + " bytes of host memory",
                 "measure smaller sizes");
  }
  return Result<std::unique_ptr<Buffer>>(std::make_unique<HostBuffer>(memory, bytes));
}

Result<Memory::Room> HostMemory::room() {
  RAILHEAD_TRY_ASSIGN(const std::string text, filesystem_.readFile(meminfo_));
  Room out;
  out.ofNode = true;
  for (const auto line : split(text, '\n')) {  // "MemAvailable:   123 kB"
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto words = split(trim(line.substr(colon + 1)), ' ');
    const auto kib = parseUnsigned(words.front());
    if (!kib) continue;
    if (line.starts_with("MemAvailable:")) out.freeBytes = *kib << 10;
    if (line.starts_with("MemTotal:")) out.totalBytes = *kib << 10;
  }
  if (out.totalBytes == 0) return Error(ErrorCode::kCorrupt, meminfo_ + " names no MemTotal");
  return out;
}

Result<void> HostMemory::fill(Buffer& buffer, const std::vector<Expectation>& parts) {
  for (const auto& part : parts) {
    RAILHEAD_TRY_ASSIGN(const auto bytes, within(buffer, part));
    std::uint32_t index = part.firstIndex;
    for (std::size_t at = 0; at < bytes.size(); ++index) {
      const Element element = expected(part, index);
      const std::size_t size = std::min(element.size, bytes.size() - at);
      std::memcpy(&bytes[at], element.bytes.data(), size);
      at += size;
    }
  }
  return {};
}

Result<void> HostMemory::spoil(Buffer& buffer) {
  std::memset(buffer.data(), std::to_integer<int>(kSpoilt), buffer.size());
  return {};
}

Result<DataCheck> HostMemory::check(const Buffer& buffer, const std::vector<Expectation>& parts) {
  DataCheck out;
  for (const auto& part : parts) {
    RAILHEAD_TRY_ASSIGN(const auto bytes, within(buffer, part));
    std::uint32_t index = part.firstIndex;
    for (std::size_t at = 0; at < bytes.size(); ++index) {
      const Element element = expected(part, index);
      const std::size_t size = std::min(element.size, bytes.size() - at);
      if (std::memcmp(&bytes[at], element.bytes.data(), size) != 0 && out.elementsWrong++ == 0) {
        out.firstWrong = part.offset + at;
      }
      at += size;
    }
    out.bytesChecked += bytes.size();
  }
  return out;
}

}  // namespace railhead::collective

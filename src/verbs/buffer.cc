#include "src/verbs/buffer.h"

#include "src/base/units.h"

#include <cerrno>
#include <utility>

#include <sys/mman.h>

namespace railhead::verbs {

Result<Buffer> Buffer::allocate(std::size_t bytes) {
  if (bytes == 0) return Error(ErrorCode::kInvalidArgument, "allocate: 0 bytes asked");
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::fromErrno(errno, "allocate " + formatBytes(bytes));
  return Buffer(std::span(static_cast<std::byte*>(memory), bytes));
}

Buffer::Buffer(Buffer&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

}  // namespace railhead::verbs

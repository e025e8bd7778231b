// Page-aligned host memory for registration.
#pragma once

#include "src/base/result.h"

#include <cstddef>
#include <span>

namespace railhead::verbs {

class Buffer {
 public:
  Buffer() = default;
  // Zeroed. kExhausted when the memory is not to be had.
  static Result<Buffer> allocate(std::size_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit Buffer(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

}  // namespace railhead::verbs

// A safetensors file, open for reading. Used by one thread at a time.
#pragma once

#include "src/base/result.h"
#include "src/checkpoint/safetensors.h"
#include "src/os/durable_file.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace railhead::checkpoint {

class TensorFile {
 public:
  // kCorrupt says what is wrong with the header.
  static Result<TensorFile> open(const std::string& path);

  const TensorHeader& header() const { return header_; }
  // Fills `into` with the tensor's bytes from its `offset` on. kCorrupt: it has not so many.
  Result<void> read(const TensorEntry& tensor, std::uint64_t offset,
                    std::span<std::byte> into) const;

 private:
  TensorFile(os::RandomAccessFile file, TensorHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}
  os::RandomAccessFile file_;
  TensorHeader header_;
};

}  // namespace railhead::checkpoint

// The tensors of a safetensors file (an eight-byte length, a JSON header, the bytes), compared with
// those of another. Everything in the header is bounded and checked against the file's size.
#pragma once

#include "src/base/result.h"
#include "src/os/unique_fd.h"

#include <cstdint>
#include <string>
#include <vector>

namespace railhead::train {

struct Tensor {
  std::string name;
  std::string dtype;                 // "F32", "BF16", "I64", ...
  std::vector<std::uint64_t> shape;  // at most 16
  std::uint64_t begin = 0;           // bytes of the file
  std::uint64_t end = 0;
};

class TensorFile {
 public:
  // kCorrupt says what is wrong with the header.
  static Result<TensorFile> open(const std::string& path);

  const std::vector<Tensor>& tensors() const { return tensors_; }  // by name
  const Tensor* find(const std::string& name) const;
  // So many bytes from there on.
  Result<std::string> read(std::uint64_t offset, std::size_t bytes) const;

 private:
  TensorFile(std::string path, os::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  os::UniqueFd fd_;
  std::vector<Tensor> tensors_;
};

struct TensorDifference {
  std::string tensor;
  std::string what;  // "is only in the first", "has another shape", "3 of 64 values differ"
  // The largest difference over the largest value in either; infinite where it cannot be measured.
  double relative = 0;
};

// Those that are not the same byte for byte, by name.
Result<std::vector<TensorDifference>> differingTensors(const TensorFile& first,
                                                       const TensorFile& second);

}  // namespace railhead::train

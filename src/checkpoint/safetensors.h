// The header of a safetensors file: eight bytes of length, little-endian, JSON that names each
// tensor with its element type, shape and place, then the tensors' bytes without gaps.
//
// Source: the format's description in github.com/huggingface/safetensors (README.md, "Format").
// What is read is untrusted: bounded in every number, and nothing lies outside the file, overlaps
// or leaves a gap. Pure functions.
#pragma once

#include "src/base/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::checkpoint {

// "F32", "BF16", "I64", ...; 0 for what is none.
std::uint64_t tensorElementBytes(std::string_view type);

struct TensorEntry {
  std::string name;
  std::string type;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;  // bytes behind the header
  std::uint64_t end = 0;

  bool operator==(const TensorEntry&) const = default;
};

struct TensorHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> tensors;  // in the order of their bytes
  std::uint64_t dataOffset = 0;      // of the first tensor's bytes in the file

  const TensorEntry* find(std::string_view name) const;
};

inline constexpr std::uint64_t kMaxTensorHeader = 16 << 20;  // bytes
inline constexpr std::size_t kMaxTensors = 100'000;
inline constexpr std::size_t kMaxTensorName = 1024;
inline constexpr std::size_t kMaxTensorDimensions = 16;

// A tensor to be written: its bytes follow those of the one before it.
struct TensorPlan {
  std::string name;
  std::string type;
  std::vector<std::uint64_t> shape;
};
// The beginning of the file, up to the first tensor's bytes, which begin at a multiple of 64.
// kInvalidArgument names the tensor that cannot be.
Result<std::string> encodeTensorHeader(const std::map<std::string, std::string>& metadata,
                                       const std::vector<TensorPlan>& tensors);

// The length of the JSON, from a file's first eight bytes. kCorrupt.
inline constexpr std::size_t kTensorPrefix = 8;
Result<std::uint64_t> tensorJsonBytes(std::string_view prefix, std::uint64_t fileBytes);
// `json`: as many bytes behind the prefix. kCorrupt names what is wrong.
Result<TensorHeader> decodeTensorHeader(std::string_view json, std::uint64_t fileBytes);

}  // namespace railhead::checkpoint

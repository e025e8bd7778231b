// The checked pattern on the device: kernels that fill memory with it and that compare memory with
// it where it lies. The pattern itself is src/collective/pattern.h's; here it is one formula, which
// both its words and its sums of numbers are:
//
//     element i of a run = sum over t < terms of ( mix32(start + i + t * step) & mask )
//
// as a number of the run's element type, i modulo 2^32.
#pragma once

#include "src/base/result.h"
#include "src/gpu/cuda/context.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace railhead::gpu::cuda {

enum class PatternElement {
  kWord,  // 32 bits at any address; of a last partial word the low bytes
  kByte,
  kInt32,
  kInt64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
};
inline constexpr std::size_t kPatternElements = 8;
std::size_t patternElementBytes(PatternElement element);
std::string_view patternElementName(PatternElement element);  // "bfloat16", as in kernel names

struct PatternRun {
  PatternElement element = PatternElement::kWord;
  std::uint64_t address = 0;
  std::size_t bytes = 0;
  std::uint32_t start = 0;
  std::uint32_t step = 0;
  std::uint32_t terms = 1;
  std::uint32_t mask = 0xffffffff;
};

// What checks add up, in device memory: both numbers are 64 bits wide.
struct PatternTally {
  std::uint64_t wrong = 0;                  // elements
  std::uint64_t first = ~std::uint64_t{0};  // the smallest offset of one, in bytes
};

// The kernels as PTX text: "fill_NAME" and "check_NAME" for each element type. For every GPU from
// compute capability 7.5 on; the driver compiles it.
std::string patternPtx();

// Thread-safe for different streams.
class PatternKernels {
 public:
  static Result<std::shared_ptr<const PatternKernels>> load(const Context& context);

  // Both only start the work. kInvalidArgument: not aligned to its element type.
  Result<void> fill(const Stream& stream, const PatternRun& run) const;
  // Adds what is wrong to the tally at `tally`; `offset`: of this run in the buffer it is part of.
  Result<void> check(const Stream& stream, const PatternRun& run, std::size_t offset,
                     std::uint64_t tally) const;

 private:
  PatternKernels(Module module, int multiprocessors)
      : module_(std::move(module)), multiprocessors_(multiprocessors) {}
  unsigned blocksFor(const PatternRun& run) const;

  Module module_;
  int multiprocessors_;
  std::vector<Kernel> fill_;
  std::vector<Kernel> check_;
};

}  // namespace railhead::gpu::cuda

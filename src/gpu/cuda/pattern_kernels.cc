#include "src/gpu/cuda/pattern_kernels.h"

#include <algorithm>

namespace railhead::gpu::cuda {
namespace {

constexpr unsigned kThreads = 256;
// Enough to fill a multiprocessor (8 blocks of 256), twice over.
constexpr unsigned kBlocksForEach = 16;

// The arguments both kernels begin with, in the order of the PTX text.
struct Arguments {
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint32_t start;
  std::uint32_t step;
  std::uint32_t terms;
  std::uint32_t mask;

  explicit Arguments(const PatternRun& run)
      : address(run.address),
        bytes(run.bytes),
        start(run.start),
        step(run.step),
        terms(run.terms),
        mask(run.mask) {}
  std::array<void*, 6> list() { return {&address, &bytes, &start, &step, &terms, &mask}; }
};

Result<void> checkAligned(const PatternRun& run) {
  const std::size_t size = patternElementBytes(run.element);
  if (run.element == PatternElement::kWord || (run.address % size == 0 && run.bytes % size == 0))
    return {};
  return Error(ErrorCode::kInvalidArgument, "a run of " +
                                                std::string(patternElementName(run.element)) +
                                                " must start at and "
                                                "fill a multiple of " +
                                                std::to_string(size) + " bytes");
}

}  // namespace

Result<std::shared_ptr<const PatternKernels>> PatternKernels::load(const Context& context) {
  RAILHEAD_TRY_ASSIGN(auto module, context.load(patternPtx()));
  const std::shared_ptr<PatternKernels> kernels(
      new PatternKernels(std::move(module), context.facts().multiprocessors));
  for (std::size_t i = 0; i < kPatternElements; ++i) {
    const std::string name(patternElementName(static_cast<PatternElement>(i)));
    RAILHEAD_TRY_ASSIGN(const Kernel fill, kernels->module_.kernel("fill_" + name));
    RAILHEAD_TRY_ASSIGN(const Kernel check, kernels->module_.kernel("check_" + name));
    kernels->fill_.push_back(fill);
    kernels->check_.push_back(check);
  }
  return std::shared_ptr<const PatternKernels>(kernels);
}

unsigned PatternKernels::blocksFor(const PatternRun& run) const {
  const std::size_t size = patternElementBytes(run.element);
  const std::size_t needed = (run.bytes / size + kThreads) / kThreads;
  const auto most = static_cast<std::size_t>(std::max(multiprocessors_, 1)) * kBlocksForEach;
  return static_cast<unsigned>(std::min(needed, most));
}

Result<void> PatternKernels::fill(const Stream& stream, const PatternRun& run) const {
  if (run.bytes == 0) return {};
  RAILHEAD_TRY(checkAligned(run));
  Arguments arguments(run);
  auto list = arguments.list();
  return stream.launch(fill_.at(static_cast<std::size_t>(run.element)), blocksFor(run), kThreads,
                       list);
}

Result<void> PatternKernels::check(const Stream& stream, const PatternRun& run, std::size_t offset,
                                   std::uint64_t tally) const {
  if (run.bytes == 0) return {};
  RAILHEAD_TRY(checkAligned(run));
  Arguments arguments(run);
  const auto first = arguments.list();
  std::uint64_t runOffset = offset;
  std::array<void*, 8> list{};
  std::copy(first.begin(), first.end(), list.begin());
  list[6] = &tally;
  list[7] = &runOffset;
  return stream.launch(check_.at(static_cast<std::size_t>(run.element)), blocksFor(run), kThreads,
                       list);
}

}  // namespace railhead::gpu::cuda

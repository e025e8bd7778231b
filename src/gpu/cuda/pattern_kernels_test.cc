#include "src/gpu/cuda/pattern_kernels.h"

#include "src/collective/pattern.h"
#include "src/os/process.h"
#include "tests/support/cuda_fixture.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace railhead::gpu::cuda {
namespace {

using namespace std::chrono_literals;
using testing_support::CudaFixture;

class PatternKernelsTest : public testing::Test {
 protected:
  void wait() {
    const auto waited = stream_.wait(std::chrono::steady_clock::now() + 10s);
    ASSERT_TRUE(waited.has_value()) << waited.error().describe();
  }
  void fill(const PatternRun& run) {
    const auto filled = kernels_->fill(stream_, run);
    ASSERT_TRUE(filled.has_value()) << filled.error().describe();
    wait();
  }
  PatternTally check(const PatternRun& run, std::size_t offset = 0) {
    PatternTally tally;
    EXPECT_TRUE(stream_.copyToDevice(tally_.address(), std::as_bytes(std::span(&tally, 1))));
    EXPECT_TRUE(kernels_->check(stream_, run, offset, tally_.address()).has_value());
    EXPECT_TRUE(stream_.copyToHost(std::as_writable_bytes(std::span(&tally, 1)), tally_.address()));
    wait();
    return tally;
  }
  std::vector<unsigned char> bytes(std::size_t count) {
    std::vector<unsigned char> out(count);
    EXPECT_TRUE(stream_.copyToHost(std::as_writable_bytes(std::span(out)), memory_.address()));
    wait();
    return out;
  }
  void poke(std::size_t offset, std::uint8_t value) {
    ASSERT_TRUE(stream_.setBytes(memory_.address() + offset, value, 1).has_value());
  }

  CudaFixture fixture_;
  std::shared_ptr<const Context> context_ = fixture_.context();
  Stream stream_ = context_->createStream().value();
  DeviceMemory memory_ = context_->allocate(1 << 16).value();
  DeviceMemory tally_ = context_->allocate(sizeof(PatternTally)).value();
  std::shared_ptr<const PatternKernels> kernels_ = PatternKernels::load(*context_).value();
};

TEST_F(PatternKernelsTest, WordsAreThePatternsWordsAlsoAtAnOddAddress) {
  PatternRun run;
  run.bytes = 4 * 5 + 3;
  run.start = 0x9e3779b9U * 3 + collective::mix32(11);  // rank 2, from its first word on
  for (const std::size_t at : {0U, 1U}) {
    run.address = memory_.address() + at;
    fill(run);
    const auto got = bytes(64);
    for (std::uint32_t i = 0; i < 6; ++i) {
      const std::uint32_t word = collective::patternWord(11, 2, i);
      EXPECT_EQ(std::memcmp(got.data() + at + i * 4, &word, i < 5 ? 4 : 3), 0) << i;
    }
    EXPECT_EQ(check(run).wrong, 0U);
  }
}

TEST_F(PatternKernelsTest, EveryTypeChecksWhatItFilled) {
  for (std::size_t i = 0; i < kPatternElements; ++i) {
    PatternRun run;
    run.element = static_cast<PatternElement>(i);
    run.address = memory_.address();
    run.bytes = 999 * patternElementBytes(run.element);
    run.start = 77;
    run.step = 5;
    run.terms = 3;
    run.mask = 31;
    fill(run);
    const PatternTally tally = check(run);
    EXPECT_EQ(tally.wrong, 0U) << patternElementName(run.element);
    EXPECT_EQ(tally.first, ~std::uint64_t{0});
  }
}

TEST_F(PatternKernelsTest, EveryTypeCountsWrongElementsAndNamesTheFirst) {
  for (std::size_t i = 0; i < kPatternElements; ++i) {
    PatternRun run;
    run.element = static_cast<PatternElement>(i);
    const std::size_t size = patternElementBytes(run.element);
    run.address = memory_.address();
    run.bytes = 500 * size;
    run.mask = 63;
    fill(run);
    poke(400 * size + size - 1, 0x5a);
    poke(123 * size + size - 1, 0x5a);
    const PatternTally tally = check(run, 4096);
    EXPECT_EQ(tally.wrong, 2U) << patternElementName(run.element);
    EXPECT_EQ(tally.first, 4096 + 123 * size);
  }
}

TEST_F(PatternKernelsTest, ARunThatIsNotAlignedToItsTypeIsRefused) {
  PatternRun run;
  run.element = PatternElement::kFloat64;
  run.address = memory_.address() + 4;
  run.bytes = 64;
  const auto refused = kernels_->fill(stream_, run);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("float64"));
}

// The assembler, where this machine happens to have one.
std::string assembler() {
  for (const auto& entry : std::filesystem::directory_iterator("/usr/local")) {
    const auto path = entry.path() / "bin" / "ptxas";
    if (entry.path().filename().string().starts_with("cuda") && std::filesystem::exists(path))
      return path.string();
  }
  return {};
}

TEST(PatternPtxTest, EveryGpuFromTuringToBlackwellTakesTheText) {
  const std::string ptxas = assembler();
  if (ptxas.empty()) GTEST_SKIP() << "no ptxas below /usr/local/cuda*: the text is not assembled";
  const std::string folder = testing::TempDir() + "railhead_ptx_" + std::to_string(::getpid());
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/pattern.ptx") << patternPtx();
  os::SystemProcessRunner runner;
  for (const char* target : {"sm_75", "sm_80", "sm_90", "sm_100", "sm_120", "sm_121"}) {
    const auto ran = runner.run(
        {{ptxas, "-arch", target, folder + "/pattern.ptx", "-o", folder + "/pattern.cubin"}});
    ASSERT_TRUE(ran.has_value()) << ran.error().describe();
    EXPECT_EQ(ran->exitCode, 0) << target << ": " << ran->errorOutput << ran->output;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace railhead::gpu::cuda

// The search beside compute, over a simulated GPU: what a call gains by taking multiprocessors, the
// compute beside it loses.
#include "src/base/random.h"
#include "src/tune/search.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

constexpr double kComputeSeconds = 1e-3;  // alone; as long as the default's call

// SIMULATED: calls of so many CTAs, each on a multiprocessor that computes nothing meanwhile. No
// figure of it is a result.
class SharedGpu final : public Bench {
 public:
  explicit SharedGpu(std::uint64_t seed) : random_(seed) {}

  static double ctas(const Setting& setting) {
    const auto value = setting.value("NCCL_MAX_CTAS");
    return value == kDefault ? 16 : std::stod(std::string(value));
  }
  static double callSeconds(const Setting& setting) {
    // The more, the faster, up to what the link carries.
    return 1e-3 * std::max(0.8, 0.72 + 4.48 / ctas(setting));
  }
  static double trueSeconds(const Setting& setting, const Size& size) {
    const double call = callSeconds(setting);
    if (!size.overlapped) return call;
    // While the call runs the compute has what is left of 66 multiprocessors, then all of them.
    const double left = 1 - ctas(setting) / 66;
    const double doneMeanwhile = std::min(kComputeSeconds, call * left);
    return std::max(call, call + kComputeSeconds - doneMeanwhile);
  }

  Result<Measurement> measure(const Setting& setting, std::span<const Size> sizes,
                              int repetitions) override {
    Measurement out;
    for (const Size& size : sizes) {
      auto& series = out.seconds.emplace_back();
      for (int i = 0; i < repetitions; ++i) {
        const double uniform = static_cast<double>(random_.next() >> 11) * 0x1p-53;
        series.push_back(trueSeconds(setting, size) * std::exp(0.02 * (uniform - 0.5)));
      }
    }
    return out;
  }

 private:
  SplitMix random_;
};

Space ctasOnly() {
  Space space;
  space.knobs = {{"NCCL_MAX_CTAS", {"4", "8", "32", "56"}, Layer::kProcess, {}}};
  return space;
}

SearchResult found(ObjectiveKind kind, std::uint64_t seed) {
  const bool overlapped = kind == ObjectiveKind::kOverlapped;
  const auto objective = Objective::over(kind, {{"allreduce", 64 << 20, overlapped}}).value();
  SharedGpu bench(seed);
  SearchOptions options;
  options.seed = seed;
  options.budget.trials = 60;
  const auto result =
      search(ctasOnly(), objective, bench, options, {[] { return 0.0; }, {}, {}, {}});
  EXPECT_TRUE(result.has_value()) << result.error().describe();
  return result.value();
}

TEST(OverlapSearch, WhatTakesComputeTimeLosesAlthoughItWinsAlone) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto alone = found(ObjectiveKind::kBandwidth, seed);
    const double taken = SharedGpu::ctas(alone.plan.at(0));
    EXPECT_TRUE(alone.isBetter()) << seed;
    EXPECT_EQ(taken, 56) << seed;

    const auto beside = found(ObjectiveKind::kOverlapped, seed);
    EXPECT_LE(SharedGpu::ctas(beside.plan.at(0)), 16) << seed;
    // And the winner alone is really the slower one beside compute.
    const Size size{"allreduce", 64 << 20, true};
    EXPECT_GT(SharedGpu::trueSeconds(alone.plan.at(0), size),
              1.1 * SharedGpu::trueSeconds(beside.plan.at(0), size))
        << seed;
  }
}

}  // namespace
}  // namespace railhead::tune

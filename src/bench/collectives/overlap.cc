#include "src/bench/collectives/overlap.h"

#include "src/base/statistics.h"
#include "src/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace railhead::bench {
namespace {

constexpr std::size_t kAloneSamples = 5;
constexpr double kShortestCompute = 0.004;  // seconds: as of a sample of a sweep
constexpr std::uint64_t kMostUnits = std::uint64_t{1} << 40;
constexpr std::chrono::seconds kComputeAnswerTime{60};
constexpr double kMostComputeSeconds = 60;  // a batch that takes longer is no measurement

os::Deadline soon() { return std::chrono::steady_clock::now() + kComputeAnswerTime; }

// Compute alone, on all ranks at once: they may share what it runs on.
class ComputeAlone {
 public:
  ComputeAlone(collective::Group& group, os::Clock& clock, collective::Compute& compute)
      : group_(group), clock_(clock), compute_(compute) {}

  // Of `batches` times `units`, begun one behind the other as beside calls; mean over the ranks of
  // the median of some samples, a batch.
  Result<double> seconds(std::uint64_t units, std::uint64_t batches, std::size_t samples) {
    std::vector<double> own;
    for (std::size_t i = 0; i < samples; ++i) {
      RAILHEAD_TRY(group_.barrier(soon()));
      const auto begin = clock_.now();
      for (std::uint64_t k = 0; k < batches; ++k) RAILHEAD_TRY(compute_.start(units));
      RAILHEAD_TRY(compute_.wait(soon()));
      own.push_back(std::chrono::duration<double>(clock_.now() - begin).count());
    }
    RAILHEAD_TRY_ASSIGN(const double all, mean(summarize(own).median));
    return all / static_cast<double>(batches);
  }

 private:
  Result<double> mean(double own) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), own).ptr;
    RAILHEAD_TRY_ASSIGN(const auto all, group_.gather(std::string(text.data(), end), soon()));
    double sum = 0;
    for (const auto& one : all) sum += parseDouble(one).value_or(0);
    return sum / static_cast<double>(all.size());
  }

  collective::Group& group_;
  os::Clock& clock_;
  collective::Compute& compute_;
};

// How many units one after the other take kShortestCompute: grown, as calls in a sample are.
Result<double> secondsOfUnit(ComputeAlone& alone) {
  for (std::uint64_t units = 1;;) {
    RAILHEAD_TRY_ASSIGN(const double seconds, alone.seconds(units, 1, 1));
    if (seconds >= kShortestCompute || units >= kMostUnits) {
      RAILHEAD_TRY_ASSIGN(const double again, alone.seconds(units, 1, kAloneSamples));
      return std::max(again, 1e-9) / static_cast<double>(units);
    }
    const double wanted = kShortestCompute * 1.3 / std::max(seconds, 1e-7);
    units = static_cast<std::uint64_t>(
        std::ceil(static_cast<double>(units) * std::clamp(wanted, 1.5, 10.0)));
  }
}

// Of a call, and of what is beside it.
Result<double> callSeconds(collective::Communicator& communicator, collective::Group& group,
                           CollectivePlan plan, os::Clock& clock, const Beside& beside) {
  plan.exactSamples = kAloneSamples;
  RAILHEAD_TRY_ASSIGN(const auto swept, runSweep(communicator, group, plan, clock, {}, beside));
  if (swept.failure) return *swept.failure;
  if (swept.report.lines.size() != 1) {
    return Error(ErrorCode::kUnsupported,
                 "this backend has no call of " + std::to_string(plan.minBytes) + " bytes");
  }
  return swept.report.lines.front().time.median / 1e6;
}

}  // namespace

Result<OverlapWork> chooseOverlapWork(collective::Communicator& communicator,
                                      collective::Group& group, const CollectivePlan& plan,
                                      os::Clock& clock, collective::Compute& compute) {
  OverlapWork out;
  RAILHEAD_TRY_ASSIGN(out.callSeconds, callSeconds(communicator, group, plan, clock, {}));
  ComputeAlone alone(group, clock, compute);
  RAILHEAD_TRY_ASSIGN(const double unit, secondsOfUnit(alone));
  const double units = std::min(out.callSeconds, kMostComputeSeconds) / unit;
  out.unitsPerCall = static_cast<std::uint64_t>(
      std::clamp(std::round(units), 1.0, static_cast<double>(kMostUnits)));
  const double batches =
      kShortestCompute / std::max(static_cast<double>(out.unitsPerCall) * unit, 1e-7);
  RAILHEAD_TRY_ASSIGN(
      out.computeSeconds,
      alone.seconds(out.unitsPerCall, static_cast<std::uint64_t>(std::max(1.0, std::ceil(batches))),
                    kAloneSamples));
  RAILHEAD_TRY_ASSIGN(out.pairSeconds, callSeconds(communicator, group, plan, clock,
                                                   Beside{&compute, out.unitsPerCall}));
  return out;
}

Result<void> checkWorkedOff(collective::Compute& compute, std::uint64_t unitsBefore,
                            std::uint64_t least) {
  RAILHEAD_TRY_ASSIGN(const std::uint64_t now, compute.done());
  if (now >= unitsBefore + least) return {};
  return Error(ErrorCode::kCheckFailed, "compute beside the calls counted " +
                                            std::to_string(now - unitsBefore) +
                                            " units; begun were at least " + std::to_string(least));
}

double hiddenShare(const OverlapWork& work, double pairSeconds) {
  const double shorter = std::min(work.callSeconds, work.computeSeconds);
  return shorter > 0 ? (work.callSeconds + work.computeSeconds - pairSeconds) / shorter : 0;
}

}  // namespace railhead::bench

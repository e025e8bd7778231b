#include "src/bench/collectives/sweep.h"

#include "src/base/text.h"
#include "src/bench/collectives/room.h"
#include "src/bench/collectives/sweep_memory.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace railhead::bench {
namespace {

using collective::Communicator;
using collective::Group;

constexpr double kShortestSample = 0.004;  // seconds: far above what reading the clock costs
// Of a GPU's large calls few fill the time above, and what a batch costs at its ends weighs: with
// it busbw was 1 to 2 % below nccl-tests' (docs/measurements/two-gpus-beside.json). That this is
// the cause is not measured yet.
constexpr double kShortestOnGpu = 0.02;
constexpr std::size_t kFewestSamples = 10;
constexpr std::size_t kMostSamples = 400;
constexpr std::size_t kSamplesPerRound = 5;  // between two decisions of rank 0
constexpr int kMostCallsPerSample = 100'000;
// Between ranks, beside the calls themselves.
constexpr std::chrono::seconds kAnswerTime{60};

std::string numberText(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

class Sweep {
 public:
  Sweep(Communicator& communicator, Group& group, const CollectivePlan& plan, os::Clock& clock,
        const SweepProgress& progress, const Beside& beside)
      : communicator_(communicator),
        group_(group),
        plan_(plan),
        clock_(clock),
        progress_(progress),
        beside_(beside) {}

  Result<SweepOutcome> run() {
    SweepOutcome out;
    RAILHEAD_TRY(plan_.check());
    const auto cases = sweepCases(plan_, communicator_.ranks());
    RAILHEAD_TRY(describe(out.report));
    for (const auto& each : cases) largest_ = std::max(largest_, each.bytes);
    RAILHEAD_TRY(
        checkRoomTogether("--max-size", largest_, communicator_.memory(), group_, answerBy()));
    for (std::size_t i = 0; i < cases.size(); ++i) {
      if (const auto can = communicator_.supports(cases[i].call); !can.has_value()) continue;
      if (progress_.begin) progress_.begin(i, cases.size(), cases[i]);
      RAILHEAD_TRY_ASSIGN(SweepLine line, measure(cases[i]));
      if (progress_.end) progress_.end(line);
      const bool wrong = line.elementsWrong > 0;
      const std::string where = line.firstWrong;
      out.report.lines.push_back(std::move(line));
      if (wrong) {
        out.failure = wrongData(out.report.lines.back(), where);
        return out;
      }
    }
    out.report.verified = !out.report.lines.empty();
    return out;
  }

 private:
  os::Deadline answerBy() const { return std::chrono::steady_clock::now() + kAnswerTime; }
  os::Deadline callBy(int calls) const {
    return std::chrono::steady_clock::now() +
           std::chrono::duration_cast<std::chrono::steady_clock::duration>(
               std::chrono::duration<double>(plan_.secondsPerCall * std::max(1, calls / 100)));
  }

  Result<void> describe(SweepReport& report) {
    report.plan = plan_;
    report.ranks = communicator_.ranks();
    report.backend = communicator_.describe();
    report.memory = communicator_.memory().kind();
    RAILHEAD_TRY_ASSIGN(report.nodes, group_.gather(group_.world().node, answerBy()));
    return {};
  }

  // Calls and compute are begun in turns and run side by side. Calls first: a step's kernel leaves
  // room for the next one's blocks only when its own are all placed.
  Result<void> enqueue(const SweepMemory& memory, const SweepCase& what, int times) {
    for (int i = 0; i < times; ++i) {
      const auto place = memory.placeFor(what.call, communicator_.rank(), communicator_.ranks(),
                                         static_cast<std::uint64_t>(i));
      RAILHEAD_TRY(communicator_.enqueue(what.call, place.send, place.receive));
      if (beside_.compute != nullptr) RAILHEAD_TRY(beside_.compute->start(beside_.unitsPerCall));
    }
    return {};
  }
  Result<void> call(const SweepMemory& memory, const SweepCase& what, int times) {
    if (auto begun = enqueue(memory, what, times); !begun.has_value()) {
      communicator_.abort();  // what was begun moves bytes of memory that goes with the sweep
      return begun;
    }
    RAILHEAD_TRY(communicator_.wait(callBy(times)));
    return beside_.compute == nullptr ? Result<void>() : beside_.compute->wait(callBy(times));
  }

  Result<double> timed(const SweepMemory& memory, const SweepCase& what, int times) {
    const auto begin = clock_.now();
    RAILHEAD_TRY(call(memory, what, times));
    return std::chrono::duration<double>(clock_.now() - begin).count();
  }

  // One call with known data; adds what was found to the line.
  Result<void> check(SweepMemory& memory, SweepLine& line) {
    const std::uint32_t seed = plan_.seed + 2654435761U * ++checks_;
    RAILHEAD_TRY(memory.prepare(line.what.call, communicator_.rank(), communicator_.ranks(), seed));
    RAILHEAD_TRY(group_.barrier(answerBy()));
    RAILHEAD_TRY(call(memory, line.what, 1));
    RAILHEAD_TRY_ASSIGN(const auto found, memory.check(line.what.call, communicator_.rank(),
                                                       communicator_.ranks(), seed));
    const std::string own = std::to_string(found.bytesChecked) + " " +
                            std::to_string(found.elementsWrong) + " " +
                            std::to_string(found.firstWrong);
    RAILHEAD_TRY_ASSIGN(const auto all, group_.gather(own, answerBy()));
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      const auto words = split(all[rank], ' ');
      if (words.size() != 3) return Error(ErrorCode::kCorrupt, "a data check of another kind");
      line.bytesChecked += parseUnsigned(words[0]).value_or(0);
      const auto wrong = parseUnsigned(words[1]).value_or(1);
      if (wrong > 0 && line.elementsWrong == 0) {
        line.firstWrong = "rank " + std::to_string(rank) + ", byte " + std::string(words[2]);
      }
      line.elementsWrong += wrong;
    }
    return {};
  }

  // The mean over the ranks of each of the round's samples, in seconds a batch.
  Result<std::vector<double>> round(const SweepMemory& memory, const SweepCase& what, int calls,
                                    std::size_t samples) {
    std::string own;
    for (std::size_t i = 0; i < samples; ++i) {
      RAILHEAD_TRY_ASSIGN(const double seconds, timed(memory, what, calls));
      own += (i == 0 ? "" : " ") + numberText(seconds);
    }
    RAILHEAD_TRY_ASSIGN(const auto all, group_.gather(own, answerBy()));
    std::vector<double> means(samples, 0);
    for (const auto& text : all) {
      const auto words = split(text, ' ');
      if (words.size() != samples) return Error(ErrorCode::kCorrupt, "times of another kind");
      for (std::size_t i = 0; i < samples; ++i) {
        means[i] += parseDouble(words[i]).value_or(0) / static_cast<double>(all.size());
      }
    }
    return means;
  }

  // Trials of a search compare batches of the same length, and are many.
  double shortestSample() const {
    const bool gpu = communicator_.memory().kind() == collective::MemoryKind::kDevice;
    return gpu && plan_.exactSamples == 0 ? kShortestOnGpu : kShortestSample;
  }

  // How many calls fill a sample: grown until a batch is long enough on the ranks' mean.
  Result<int> calibrate(const SweepMemory& memory, const SweepCase& what) {
    const double shortest = shortestSample();
    int calls = 1;
    for (;;) {
      RAILHEAD_TRY_ASSIGN(const auto seconds, round(memory, what, calls, 1));
      if (seconds.front() >= shortest || calls >= kMostCallsPerSample) return calls;
      const double wanted = shortest * 1.3 / std::max(seconds.front(), 1e-7);
      calls = static_cast<int>(std::clamp(std::ceil(calls * std::min(wanted, 10.0)), calls + 1.0,
                                          static_cast<double>(kMostCallsPerSample)));
    }
  }

  Result<void> sample(const SweepMemory& memory, SweepLine& line) {
    double spent = 0;
    for (;;) {
      const std::size_t samples =
          plan_.exactSamples == 0
              ? kSamplesPerRound
              : std::min(kSamplesPerRound, plan_.exactSamples - line.samples.size());
      RAILHEAD_TRY_ASSIGN(const auto seconds,
                          round(memory, line.what, line.callsPerSample, samples));
      for (const double batch : seconds) {
        spent += batch;
        line.samples.push_back(batch / line.callsPerSample * 1e6);
      }
      line.time = summarize(line.samples);
      const double half = (line.time.high95 - line.time.low95) / 2;
      line.precise =
          line.samples.size() >= kFewestSamples && half <= plan_.precision * line.time.mean;
      if (plan_.exactSamples > 0) {
        if (line.samples.size() < plan_.exactSamples) continue;
        return {};
      }
      // All ranks have the same means, so all decide alike.
      if (line.precise || spent >= plan_.secondsPerSize || line.samples.size() >= kMostSamples) {
        return {};
      }
    }
  }

  // A GPU's cache holds what is used again: calls go through as much memory as the largest size
  // takes, as those of nccl-tests do. A host's transport registers what it is given.
  std::uint64_t turnsFor(const SweepCase& what) const {
    if (communicator_.memory().kind() != collective::MemoryKind::kDevice) return 1;
    return std::max<std::uint64_t>(1, largest_ / std::max<std::uint64_t>(1, what.bytes));
  }

  Result<SweepLine> measure(const SweepCase& what) {
    SweepLine line;
    line.what = what;
    RAILHEAD_TRY_ASSIGN(auto memory,
                        SweepMemory::allocate(communicator_.memory(), what.bytes, turnsFor(what)));
    RAILHEAD_TRY(check(memory, line));
    if (line.elementsWrong > 0) return line;
    RAILHEAD_TRY_ASSIGN(line.callsPerSample, calibrate(memory, what));
    RAILHEAD_TRY(sample(memory, line));
    RAILHEAD_TRY(check(memory, line));
    line.algbwGBps = static_cast<double>(what.bytes) / line.time.mean / 1e3;
    line.busbwGBps =
        line.algbwGBps * collective::busFactor(what.call.operation, communicator_.ranks());
    return line;
  }

  static Error wrongData(const SweepLine& line, const std::string& where) {
    return Error(ErrorCode::kCheckFailed,
                 std::string(collective::operationName(line.what.call.operation)) + " of " +
                     std::to_string(line.what.bytes) + " bytes: " +
                     std::to_string(line.elementsWrong) + " wrong elements, the first at " + where,
                 "do not trust this path: look at the NCCL settings that were changed, and run "
                 "railhead doctor");
  }

  Communicator& communicator_;
  Group& group_;
  const CollectivePlan& plan_;
  os::Clock& clock_;
  const SweepProgress& progress_;
  Beside beside_;
  std::uint32_t checks_ = 0;
  std::uint64_t largest_ = 1;  // bytes of the largest case: what the memory was asked for
};

}  // namespace

Result<SweepOutcome> runSweep(Communicator& communicator, Group& group, const CollectivePlan& plan,
                              os::Clock& clock, const SweepProgress& progress,
                              const Beside& beside) {
  return Sweep(communicator, group, plan, clock, progress, beside).run();
}

}  // namespace railhead::bench

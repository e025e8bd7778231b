// Runs the cases of a plan on every rank and measures them. Every rank calls runSweep with the same
// plan; each line is checked byte for byte before and after it is timed, where the data lies.
//
// Time of a sample is the mean over the ranks of the time that a batch of calls took, as nccl-tests
// has it by default. Batches are long enough for the clock; samples are added until the 95 %
// interval of their mean is narrower than the plan wants, or its time is used up. Outliers stay in.
#pragma once

#include "src/base/result.h"
#include "src/base/statistics.h"
#include "src/bench/collectives/plan.h"
#include "src/collective/communicator.h"
#include "src/collective/compute.h"
#include "src/collective/group.h"
#include "src/os/clock.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace railhead::bench {

struct SweepLine {
  SweepCase what;
  int callsPerSample = 0;
  std::vector<double> samples;  // microseconds a call
  Summary time;                 // of the samples
  double algbwGBps = 0;         // of the mean time
  double busbwGBps = 0;
  bool precise = false;            // the interval is as narrow as the plan wanted
  std::uint64_t bytesChecked = 0;  // over all ranks
  std::uint64_t elementsWrong = 0;
  std::string firstWrong;  // "rank 1, byte 4096"; empty when all were right
};

struct SweepReport {
  CollectivePlan plan;
  int ranks = 0;
  std::vector<std::string> nodes;          // of each rank
  collective::BackendDescription backend;  // rank 0's
  collective::MemoryKind memory = collective::MemoryKind::kHost;
  std::vector<SweepLine> lines;
  bool verified = false;           // every line was checked and right
  std::vector<std::string> notes;  // rails that were left out, and why
};

// Told on every rank as each line begins and ends; may be empty.
struct SweepProgress {
  std::function<void(std::size_t index, std::size_t of, const SweepCase& what)> begin;
  std::function<void(const SweepLine& line)> end;
};

// What every call of a sweep has beside it; the same number on every rank. A sample's time is then
// that of the pair: until the calls of its batch and all compute beside them are done.
struct Beside {
  collective::Compute* compute = nullptr;  // null: nothing; used by this thread
  std::uint64_t unitsPerCall = 0;
};

struct SweepOutcome {
  SweepReport report;
  std::optional<Error> failure;  // a wrong byte: the report holds what was measured up to there
};
// kInvalidArgument: a plan that cannot be, or too large for the memory; kDeadlineExceeded: a call
// that did not end; kUnavailable: a rank is gone. A communicator that failed is not used again.
Result<SweepOutcome> runSweep(collective::Communicator& communicator, collective::Group& group,
                              const CollectivePlan& plan, os::Clock& clock,
                              const SweepProgress& progress, const Beside& beside = {});

}  // namespace railhead::bench

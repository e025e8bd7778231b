// The result of a sweep as JSON (docs/reference/bench-collectives.md), and read back for
// comparison.
#pragma once

#include "src/base/result.h"
#include "src/bench/collectives/sweep.h"
#include "src/bench/environment.h"

#include <string>
#include <string_view>

namespace railhead::bench {

// `failure` as in SweepOutcome: "" when every byte was right.
std::string toJson(const SweepReport& report, const Environment& environment,
                   const std::string& failure);

// What a comparison needs of such a document. Untrusted: kCorrupt names the field.
struct SweepSummary {
  struct Line {
    std::string key;  // "all_reduce float32 1048576 in place"
    std::uint64_t bytes = 0;
    std::vector<double> samples;  // microseconds
  };
  std::vector<Line> lines;
  std::string backend;  // "nccl 2.28.3"
  int ranks = 0;
};
Result<SweepSummary> parseSweep(std::string_view json);

}  // namespace railhead::bench

// Whether one sweep is really faster or slower than another, line by line. Pure.
//
// Two-sided Mann-Whitney U test on the samples (no shape is assumed: times have long tails), with
// the normal approximation, correction for ties and for continuity; over all lines Holm's
// correction, so that a page of comparisons does not find one by chance. A line differs when its
// corrected p is below 0.01 and the medians differ by more than `threshold`. Fewer than 8 samples
// on a side decide nothing.
#pragma once

#include "src/base/result.h"
#include "src/bench/collectives/sweep_json.h"

#include <span>
#include <string>
#include <vector>

namespace railhead::bench {

enum class Change { kSame, kFaster, kSlower, kUndecided };
std::string_view changeName(Change change);  // "slower"

struct ComparedLine {
  std::string key;
  double beforeUs = 0;  // medians
  double afterUs = 0;
  double ratio = 1;  // after / before
  double p = 1;      // corrected
  Change change = Change::kSame;
};

struct Comparison {
  std::vector<ComparedLine> lines;   // of both
  std::vector<std::string> missing;  // keys that only one of them has
  std::size_t slower = 0;
  std::size_t faster = 0;
};

// The two-sided p of the samples' having one distribution; 1 for empty ones.
double mannWhitney(std::span<const double> a, std::span<const double> b);

// threshold: 0.02 calls nothing below 2 % a change.
Comparison compareSweeps(const SweepSummary& before, const SweepSummary& after, double threshold);

std::string toJson(const Comparison& comparison);

}  // namespace railhead::bench

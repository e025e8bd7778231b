// A candidate against an incumbent, measured in turns. Private to src/tune; not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/tune/ledger.h"
#include "src/tune/objective.h"
#include "src/tune/plan.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace railhead::tune {

enum class Bout {
  kDone,
  kCandidateFailed,  // condemned now, at some active size
  kIncumbentFailed,  // condemned now
  kStopped,          // asked to; the pair begun does not count
};

// How a pair is measured.
struct Measuring {
  Ledger& ledger;
  const Objective& objective;
  int repetitions = 1;
  std::function<bool()> stopped;
};

class Comparison {
 public:
  // `active`: the sizes to measure, the others are taken to be as fast as before.
  Comparison(Plan candidate, Plan incumbent, std::vector<bool> active);

  const Plan& candidate() const { return candidate_; }
  const Plan& incumbent() const { return incumbent_; }
  bool isActive(std::size_t size) const { return active_[size]; }
  bool anyActive() const;
  void deactivate(std::size_t size) { active_[size] = false; }
  std::size_t pairs() const { return pairs_.size(); }
  // Some setting of an active size must not be proposed.
  bool isCondemned(const Ledger& ledger, const Objective& objective) const;

  // Adds `pairs` pairs, the order turned with each so that drift cancels; the median of a
  // measurement's repetitions counts. With `cautious`, the first pair climbs through the sizes of
  // an operation one by one and leaves out those above the point where the candidate is twice as
  // slow and falling further behind: such a one would only run into its deadline there. Where it
  // hangs all the same, the smaller sizes stay.
  Result<Bout> run(const Measuring& measuring, std::uint64_t trial, int pairs, bool cautious);

  // At some active size the pairs lie further apart than any noise that can be worked with:
  // something else took part.
  bool isDisturbed() const;

  // Over the pairs in which the size was active.
  Gain gainAt(std::size_t size) const;
  Gain gain(const Objective& objective) const;
  // The incumbent's and the candidate's seconds by size, of one pair; the same where inactive.
  struct Pair {
    std::vector<double> incumbent;
    std::vector<double> candidate;
    std::vector<bool> active;
  };
  const std::vector<Pair>& all() const { return pairs_; }

 private:
  Result<Bout> measure(const Measuring& measuring, std::uint64_t trial, const Plan& plan,
                       std::vector<double>& seconds) const;
  Result<Bout> climb(const Measuring& measuring, std::uint64_t trial, Pair& pair);
  Result<Bout> runPair(const Measuring& measuring, std::uint64_t trial, bool cautious);

  std::vector<double> ratiosAt(std::size_t size) const;

  Plan candidate_;
  Plan incumbent_;
  std::vector<bool> active_;
  std::vector<Pair> pairs_;
};

}  // namespace railhead::tune

// Every measurement of one search: taken through a Bench, or, when a search is resumed, from its
// records as long as these are of the same course. Not thread-safe.
#pragma once

#include "src/base/result.h"
#include "src/tune/space.h"
#include "src/tune/trial.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace railhead::tune {

// A setting that hung, crashed, gave wrong bytes or was refused.
struct Condemned {
  Setting setting;
  Outcome outcome = Outcome::kRefused;
  std::string detail;
  // Where: each operation named, from these bytes on. Empty: everywhere.
  std::vector<Size> from;

  bool reaches(const Size& size) const;
};

class Ledger {
 public:
  using Keep = std::function<Result<void>(const TrialRecord&)>;
  using Seconds = std::function<double()>;

  // `seconds` is a monotonic time of any origin. `keep` gets each new record before the search goes
  // on; its error ends the search.
  Ledger(const Space& space, Bench& bench, std::vector<TrialRecord> before, Seconds seconds,
         Keep keep);

  // kInvalidArgument: the records given are of another search, space or seed.
  Result<Measurement> measure(std::uint64_t trial, const Setting& setting,
                              std::span<const Size> sizes, int repetitions);

  // Whether it must not be proposed at `size`, or at any: it was condemned there, or holds
  // everything that a condemned one sets. A hang of a choice per size condemns it for that
  // operation from the smallest size of the measurement on: it may be the best below. What crashed,
  // gave wrong bytes or was refused is condemned everywhere, and so is an environment that hung.
  bool isCondemned(const Setting& setting, const Size& size) const;
  bool isCondemned(const Setting& setting) const;
  const std::vector<Condemned>& condemned() const { return condemned_; }

  // Since the search began, over all its resumptions.
  double elapsedSeconds() const;
  bool isReplaying() const { return next_ < before_.size(); }
  // On this course so far, those passed over in a resumption among them.
  std::size_t records() const { return next_ + kept_; }

 private:
  const TrialRecord* replayed(const Setting& setting, std::span<const Size> sizes, int repetitions);
  void note(const Setting& setting, std::span<const Size> sizes, const Measurement& measurement);

  const Space& space_;
  Bench& bench_;
  std::vector<TrialRecord> before_;
  std::size_t next_ = 0;
  std::size_t kept_ = 0;  // beyond `before_`
  Seconds seconds_;
  Keep keep_;
  double elapsedBefore_ = 0;  // what the replayed records took
  double liveSince_ = 0;
  std::vector<Condemned> condemned_;
};

}  // namespace railhead::tune

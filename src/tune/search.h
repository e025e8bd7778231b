// Finds settings that beat the default: starts from it, screens single knobs, descends coordinate
// by coordinate, starts again from elsewhere, and says "better" only after a fresh run. One thread;
// a function of its seed and of what is measured.
//
// A trial is one candidate compared with the incumbent over a number of pairs, whatever that
// number; candidates that do well are given more pairs, each time as a new trial.
#pragma once

#include "src/base/result.h"
#include "src/tune/ledger.h"
#include "src/tune/objective.h"
#include "src/tune/plan.h"
#include "src/tune/space.h"
#include "src/tune/trial.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace railhead::tune {

// A part of either is kept for the validation at the end.
struct Budget {
  std::uint64_t trials = 1000;  // from kMinTrials
  double seconds = std::numeric_limits<double>::infinity();
  static constexpr std::uint64_t kMinTrials = 8;
};

struct SearchOptions {
  std::uint64_t seed = 1;
  Budget budget;
  int repetitions = 5;      // of each measurement; its median counts
  int restarts = 2;         // from elsewhere, once the first descent has ended
  double tolerance = 0.02;  // no size may become slower by more than this, as far as can be told
};

enum class Stage { kChoices, kScreening, kDescent, kRestart, kValidation };
std::string_view stageName(Stage stage);  // "per size", "screening", ...

struct Progress {
  Stage stage = Stage::kChoices;
  std::uint64_t trials = 0;
  const Plan* best = nullptr;         // valid during the call
  Gain gain;                          // of the best over the default, estimated: not yet validated
  std::optional<double> secondsLeft;  // of the budget; an estimate when that is in trials only
};

struct SearchHooks {
  Ledger::Seconds seconds;                        // required
  std::function<bool()> stopped;                  // true: end soon, keep the best so far
  Ledger::Keep keep;                              // each new record, for a later resumption
  std::function<void(const Progress&)> progress;  // after each trial
};

// kBudget: of trials or seconds, or the records would be more than can be read back.
enum class SearchEnd { kFinished, kBudget, kInterrupted };
std::string_view searchEndName(SearchEnd end);  // "finished", "budget", "interrupted"

// What a step of one knob from the default did: the knobs that matter are the ones far from 0.
struct Effect {
  std::string knob;
  Setting step;
  Gain gain;
};

struct SizeResult {
  Gain gain;                  // over the default; no pairs where the plan is the default's
  double defaultSeconds = 0;  // medians over the pairs
  double tunedSeconds = 0;

  bool operator==(const SizeResult&) const = default;
};

struct SearchResult {
  Plan plan;  // the default's where nothing was proven better
  // By a fresh run. False where none was whole: interrupted (the best so far then), nothing was
  // found that could have been proven, or all that was tried in it failed (the default then).
  bool validated = false;
  bool freshRunFailed = false;    // not validated, and that is why; condemned has what was seen
  Gain gain;                      // over the default: of the fresh run, or an estimate
  std::vector<SizeResult> sizes;  // of the fresh run; empty where nothing was validated
  SearchEnd end = SearchEnd::kFinished;
  std::uint64_t trials = 0;
  double seconds = 0;
  std::vector<Condemned> condemned;
  std::vector<Effect> effects;

  // Whether anything is proven better than the default.
  bool isBetter() const;
  // Whether it may be kept as a profile: proven, or the default, which needs no proof. Not an
  // interrupted search's best so far.
  bool isSettled() const;
};

// `before`: the records of an earlier run, to go on from (kInvalidArgument when they are of another
// search; the default finds no room for a size). kCheckFailed: the default itself fails. Any error
// of the bench or of keep().
Result<SearchResult> search(const Space& space, const Objective& objective, Bench& bench,
                            const SearchOptions& options, const SearchHooks& hooks,
                            std::vector<TrialRecord> before = {});

}  // namespace railhead::tune

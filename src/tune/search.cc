#include "src/tune/search.h"

#include "src/tune/search_run.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace railhead::tune {

std::string_view stageName(Stage stage) {
  switch (stage) {
    case Stage::kChoices:
      return "per size";
    case Stage::kScreening:
      return "screening";
    case Stage::kDescent:
      return "descent";
    case Stage::kRestart:
      return "restart";
    case Stage::kValidation:
      return "validation";
  }
  return "validation";
}

std::string_view searchEndName(SearchEnd end) {
  switch (end) {
    case SearchEnd::kFinished:
      return "finished";
    case SearchEnd::kBudget:
      return "budget";
    case SearchEnd::kInterrupted:
      return "interrupted";
  }
  return "interrupted";
}

bool SearchResult::isBetter() const {
  return validated && (gain.isBetter() ||
                       std::any_of(sizes.begin(), sizes.end(),
                                   [](const SizeResult& one) { return one.gain.isBetter(); }));
}

bool SearchResult::isSettled() const {
  if (validated) return true;
  return end != SearchEnd::kInterrupted && plan.environment.isDefault() &&
         std::all_of(plan.choices.begin(), plan.choices.end(),
                     [](const Setting& one) { return one.isDefault(); });
}

Result<SearchResult> search(const Space& space, const Objective& objective, Bench& bench,
                            const SearchOptions& options, const SearchHooks& hooks,
                            std::vector<TrialRecord> before) {
  const Budget& budget = options.budget;
  if (budget.trials < Budget::kMinTrials || !(budget.seconds > 0) || options.repetitions < 1 ||
      options.repetitions > kMaxRepetitions || options.restarts < 0 || !(options.tolerance >= 0)) {
    return Error(ErrorCode::kInvalidArgument,
                 "a search of " + std::to_string(budget.trials) + " trials and " +
                     std::to_string(options.repetitions) +
                     " repetitions; allowed: from 8 trials, 1 to " +
                     std::to_string(kMaxRepetitions) +
                     " repetitions, a time, restarts and a tolerance that are not negative");
  }
  return SearchRun(space, objective, bench, options, hooks, std::move(before)).run();
}

SearchRun::SearchRun(const Space& space, const Objective& objective, Bench& bench,
                     const SearchOptions& options, const SearchHooks& hooks,
                     std::vector<TrialRecord> before)
    : space_(space),
      objective_(objective),
      options_(options),
      hooks_(hooks),
      ledger_(space, bench, std::move(before), hooks.seconds, hooks.keep),
      measuring_{ledger_, objective_, options.repetitions, [this] { return isStopped(); }},
      random_(options.seed),
      best_(defaultPlan()),
      seconds_(sizeCount(), 1.0) {}

Plan SearchRun::defaultPlan() const { return {{}, std::vector<Setting>(sizeCount())}; }

bool SearchRun::isExhausted() const {
  if (isStopped()) return true;
  if (validating_) return false;
  if (trials_ + kValidations >= options_.budget.trials) return true;
  // What one more trial and the validation can add, as large as it can be.
  constexpr std::size_t kPairs = kValidations * kValidationPairs + kAllPairs + kTrimmedFrom;
  if (ledger_.records() + 2 * kPairs * sizeCount() > kMaxRecords) return true;
  // Two fresh runs are likely: one finds what to drop, one proves the rest.
  const double elapsed = ledger_.elapsedSeconds();
  const double aPair = pairs_ == 0 ? 0 : elapsed / static_cast<double>(pairs_);
  return elapsed + 2 * kValidationPairs * aPair >= options_.budget.seconds;
}

Result<bool> SearchRun::fight(Comparison& comparison, int pairs, Stage stage, bool cautious) {
  if (isExhausted() || !comparison.anyActive() || comparison.isCondemned(ledger_, objective_)) {
    return false;
  }
  const Comparison reverse(comparison.incumbent(), comparison.candidate(),
                           std::vector<bool>(sizeCount(), true));
  if (reverse.isCondemned(ledger_, objective_)) return false;
  const std::size_t before = comparison.pairs();
  const std::size_t condemned = ledger_.condemned().size();
  ++trials_;
  RAILHEAD_TRY_ASSIGN(Bout bout, comparison.run(measuring_, trials_, pairs, cautious));
  if (bout == Bout::kDone && comparison.pairs() < kTrimmedFrom && comparison.isDisturbed()) {
    const auto more = static_cast<int>(kTrimmedFrom - comparison.pairs());
    RAILHEAD_TRY_ASSIGN(bout, comparison.run(measuring_, trials_, more, false));
  }
  pairs_ += comparison.pairs() - before;
  if (bout == Bout::kDone && comparison.incumbent() == best_) learnSeconds(comparison);
  if (ledger_.condemned().size() > condemned) RAILHEAD_TRY(giveUpCondemned());
  tell(stage);
  return bout == Bout::kDone;
}

void SearchRun::learnSeconds(const Comparison& comparison) {
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    if (comparison.isActive(i)) seconds_[i] = comparison.all().back().incumbent[i];
  }
}

Result<void> SearchRun::giveUpCondemned() {
  if (ledger_.isCondemned({})) {
    const Condemned& last = ledger_.condemned().back();
    // Nothing failed: what was asked for is too large, and the detail says what would do.
    if (last.outcome == Outcome::kNoRoom) return Error(ErrorCode::kInvalidArgument, last.detail);
    return Error(ErrorCode::kCheckFailed,
                 "the default setting " +
                     std::string(last.outcome == Outcome::kRefused ? "is " : "") +
                     std::string(outcomeName(last.outcome)) +
                     (last.detail.empty() ? "" : ": " + last.detail),
                 last.detail.find("(remedy: ") == std::string::npos
                     ? "let railhead verify and railhead bench pass first"
                     : "");
  }
  const Plan before = best_;
  if (ledger_.isCondemned(best_.environment)) best_.environment = Setting();
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    if (ledger_.isCondemned(best_.at(i), objective_.sizes()[i])) best_.choices[i] = Setting();
  }
  if (best_ != before) standing_ = Gain();
  return {};
}

void SearchRun::tell(Stage stage) const {
  if (!hooks_.progress) return;
  Progress progress{stage, trials_, home_ ? &home_->plan : &best_,
                    home_ ? home_->standing : standing_, std::nullopt};
  const double elapsed = ledger_.elapsedSeconds();
  if (std::isfinite(options_.budget.seconds)) {
    progress.secondsLeft = std::max(0.0, options_.budget.seconds - elapsed);
  } else if (trials_ > 0) {
    const auto left = options_.budget.trials - std::min(options_.budget.trials, trials_);
    progress.secondsLeft = elapsed / static_cast<double>(trials_) * static_cast<double>(left);
  }
  hooks_.progress(progress);
}

Result<SearchResult> SearchRun::run() {
  bool screened = false;
  for (int round = 0; round < kRounds; ++round) {
    RAILHEAD_TRY_ASSIGN(bool changed, choicesPass());
    if (!screened) RAILHEAD_TRY(screen());
    if (round > 0 && !changed) break;
    screened = true;
    RAILHEAD_TRY_ASSIGN(changed, environmentPass());
    if (!changed) break;
  }
  for (int i = 0; i < options_.restarts && !isExhausted(); ++i) RAILHEAD_TRY(restart());
  SearchResult result;
  result.end = isStopped()     ? SearchEnd::kInterrupted
               : isExhausted() ? SearchEnd::kBudget
                               : SearchEnd::kFinished;
  RAILHEAD_TRY_ASSIGN(const bool settled, validate(result));
  if (!settled) result.end = SearchEnd::kInterrupted;
  result.trials = trials_;
  result.seconds = ledger_.elapsedSeconds();
  result.condemned = ledger_.condemned();
  result.effects = effects_;
  return result;
}

}  // namespace railhead::tune

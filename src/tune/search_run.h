// The course of one search (search.h). Private to src/tune.
#pragma once

#include "src/base/random.h"
#include "src/tune/comparison.h"
#include "src/tune/search.h"

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace railhead::tune {

class SearchRun {
 public:
  SearchRun(const Space& space, const Objective& objective, Bench& bench,
            const SearchOptions& options, const SearchHooks& hooks,
            std::vector<TrialRecord> before);

  Result<SearchResult> run();

 private:
  using Field = std::vector<Comparison>;
  struct Home {
    Plan plan;
    Gain standing;
  };

  // Pairs given to a candidate on each rung; the accepted have been through all of them.
  static constexpr std::array<int, 3> kRungs{2, 2, 4};
  static constexpr std::size_t kAllPairs = 8;
  static constexpr std::size_t kTrimmedFrom = 5;  // gainOf() leaves out what was disturbed
  static constexpr int kValidationPairs = 12;
  static constexpr int kValidations = 4;  // at most; trials kept for them
  static constexpr int kRounds = 3;  // of per-size choices and environment, each after the other

  Plan defaultPlan() const;
  std::size_t sizeCount() const { return objective_.sizes().size(); }
  bool isStopped() const { return hooks_.stopped && hooks_.stopped(); }
  bool isExhausted() const;
  // One trial; pairs that contradict each other are added to, rather than believed. False: no
  // result, because the budget is used up or one of the two failed; a best that failed has been
  // given up then.
  Result<bool> fight(Comparison& comparison, int pairs, Stage stage, bool cautious = false);
  Result<void> giveUpCondemned();
  void tell(Stage stage) const;
  void learnSeconds(const Comparison& comparison);

  // Per-size choices (choices_pass.cc). True: the best changed.
  Result<bool> choicesPass();
  Result<bool> choicesOf(const Knob& knob);
  Field choiceField(const Knob& knob) const;
  void narrow(Field& field, std::size_t most) const;
  bool acceptChoices(const Field& field);
  std::string choiceKey(std::size_t size, const Setting& choice) const;

  // The environment (environment_pass.cc).
  Result<void> screen();
  Result<bool> environmentPass();
  Field environmentField(const Knob& knob) const;
  Result<std::optional<Comparison>> tournament(Field field);
  std::vector<const Knob*> rankedKnobs() const;
  std::optional<double> bestEffect(std::string_view knob) const;
  bool isPromising(const Knob& knob, const Setting& step) const;
  bool isAcceptable(const Comparison& comparison) const;
  bool isUsable(const Plan& plan) const;
  void accept(const Comparison& comparison);
  Result<void> restart();

  // The fresh run at the end (validation.cc).
  // False: stopped before the fresh run had ended.
  Result<bool> validate(SearchResult& result);
  bool dropUnproven(const Comparison& fresh, Plan& plan) const;
  void report(const Comparison& fresh, const Plan& plan, SearchResult& result) const;

  const Space& space_;
  const Objective& objective_;
  const SearchOptions& options_;
  const SearchHooks& hooks_;
  Ledger ledger_;
  Measuring measuring_;
  SplitMix random_;
  Plan best_;
  Gain standing_;                // of the best over the default, chained over what was accepted
  std::optional<Home> home_;     // while a restart is away: the best so far
  std::vector<double> seconds_;  // of the best, by size, as last seen
  std::uint64_t trials_ = 0;
  std::uint64_t pairs_ = 0;
  bool validating_ = false;
  std::vector<Effect> effects_;
  Field screened_;
  std::set<std::string> beaten_;  // what lost against a best, and need not try again
};

}  // namespace railhead::tune

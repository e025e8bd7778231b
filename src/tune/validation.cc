// The fresh run at the end: what the search found was chosen because it looked fast, so its own
// figures flatter it.
#include "src/base/statistics.h"
#include "src/tune/search_run.h"

#include <utility>
#include <vector>

namespace railhead::tune {
namespace {

double medianAt(const Comparison& fresh, std::size_t size,
                std::vector<double> Comparison::Pair::*of) {
  std::vector<double> seconds;
  for (const Comparison::Pair& pair : fresh.all()) seconds.push_back((pair.*of)[size]);
  return summarize(seconds).median;
}

}  // namespace

// True: the plan became another one, which has to be measured again.
bool SearchRun::dropUnproven(const Comparison& fresh, Plan& plan) const {
  if (plan.environment.isDefault()) {
    // Without an environment the sizes do not depend on each other: what is dropped is the default.
    for (std::size_t i = 0; i < sizeCount(); ++i) {
      if (!fresh.gainAt(i).isBetter()) plan.choices[i] = Setting();
    }
    return false;
  }
  if (!isAcceptable(fresh)) {
    plan.environment = Setting();
    return true;
  }
  bool changed = false;
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    if (plan.choices[i].isDefault() || fresh.gainAt(i).mean >= 0) continue;
    plan.choices[i] = Setting();
    changed = true;
  }
  return changed;
}

void SearchRun::report(const Comparison& fresh, const Plan& plan, SearchResult& result) const {
  std::vector<double> ratios;
  for (Comparison::Pair pair : fresh.all()) {
    for (std::size_t i = 0; i < sizeCount(); ++i) {
      if (plan.at(i).isDefault()) pair.candidate[i] = pair.incumbent[i];
    }
    ratios.push_back(objective_.logRatio(pair.incumbent, pair.candidate));
  }
  result.plan = plan;
  result.validated = true;
  result.gain = plan == defaultPlan() ? Gain() : gainOf(ratios);
  result.sizes.clear();
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    const bool same = plan.at(i).isDefault();
    SizeResult size{same ? Gain() : fresh.gainAt(i),
                    medianAt(fresh, i, &Comparison::Pair::incumbent),
                    medianAt(fresh, i, &Comparison::Pair::candidate)};
    if (same) size.tunedSeconds = size.defaultSeconds;
    result.sizes.push_back(size);
  }
}

Result<bool> SearchRun::validate(SearchResult& result) {
  validating_ = true;
  result.plan = best_;
  result.gain = standing_;
  Plan plan = best_;
  bool ran = false;
  bool failed = false;
  for (int attempt = 0; attempt < kValidations && plan != defaultPlan(); ++attempt) {
    // The last attempt cannot ask for another one.
    if (attempt + 1 == kValidations) plan.environment = Setting();
    // Every size, also those left to the default: the report shows them all.
    Comparison fresh(plan, defaultPlan(), std::vector<bool>(sizeCount(), true));
    RAILHEAD_TRY_ASSIGN(const bool done, fight(fresh, kValidationPairs, Stage::kValidation));
    if (isStopped()) return false;
    if (!done) {
      // Something of it failed, which it had not done before: it goes, with all it was tried with.
      failed = true;
      if (ledger_.isCondemned(plan.environment)) plan.environment = Setting();
      for (std::size_t i = 0; i < sizeCount(); ++i) {
        if (ledger_.isCondemned(plan.at(i), objective_.sizes()[i])) plan.choices[i] = Setting();
      }
      continue;
    }
    ran = true;
    if (dropUnproven(fresh, plan)) continue;
    report(fresh, plan, result);
    return true;
  }
  if (isStopped()) return false;
  result.plan = defaultPlan();
  result.validated = ran;
  result.freshRunFailed = failed && !ran;
  result.gain = Gain();
  return true;
}

}  // namespace railhead::tune

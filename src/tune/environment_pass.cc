// The environment of the processes: single knobs are screened, then those that help are taken one
// after the other; candidates that do well get more pairs.
#include "src/tune/search_run.h"

#include <algorithm>
#include <utility>

namespace railhead::tune {
namespace {

constexpr double kMatters = 0.003;   // of a knob's best step: below, it is left alone
constexpr double kHopeless = -0.05;  // of a value on its own: not tried in combination
constexpr std::size_t kValuesKept = 3;
constexpr double kFarBehind = -0.25;  // of a new start: not worth a descent
constexpr int kKnobsChanged = 2;      // by a new start

}  // namespace

bool SearchRun::isUsable(const Plan& plan) const {
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    const Setting setting = plan.at(i);
    if (!space_.isLegal(setting) || ledger_.isCondemned(setting, objective_.sizes()[i])) {
      return false;
    }
  }
  return true;
}

Result<void> SearchRun::screen() {
  for (const Knob* knob : space_.ofLayer(Layer::kProcess)) {
    for (const Setting& step : space_.steps(best_.environment, *knob)) {
      const Plan plan{space_.part(step, Layer::kProcess), best_.choices};
      if (!isUsable(plan)) continue;
      Comparison one(plan, best_, std::vector<bool>(sizeCount(), true));
      RAILHEAD_TRY_ASSIGN(const bool done, fight(one, kRungs[0], Stage::kScreening));
      if (!done) continue;
      effects_.push_back({knob->name, plan.environment, one.gain(objective_)});
      screened_.push_back(std::move(one));
    }
  }
  return {};
}

std::optional<double> SearchRun::bestEffect(std::string_view knob) const {
  std::optional<double> best;
  for (const Effect& effect : effects_) {
    if (effect.knob == knob) best = std::max(best.value_or(effect.gain.mean), effect.gain.mean);
  }
  return best;
}

// Most helpful first; one that could not be screened may still matter, and comes last.
std::vector<const Knob*> SearchRun::rankedKnobs() const {
  std::vector<std::pair<double, const Knob*>> order;
  for (const Knob* knob : space_.ofLayer(Layer::kProcess)) {
    const double effect = bestEffect(knob->name).value_or(kMatters);
    if (effect >= kMatters) order.emplace_back(-effect, knob);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const Knob*> knobs;
  knobs.reserve(order.size());
  for (const auto& [effect, knob] : order) knobs.push_back(knob);
  return knobs;
}

// Whether the value was among the knob's best in the screening, or was not there.
bool SearchRun::isPromising(const Knob& knob, const Setting& step) const {
  std::vector<std::pair<double, std::string_view>> seen;
  for (const Effect& effect : effects_) {
    if (effect.knob == knob.name)
      seen.emplace_back(-effect.gain.mean, effect.step.value(knob.name));
  }
  std::stable_sort(seen.begin(), seen.end());
  std::set<std::string_view> better;
  for (const auto& [effect, value] : seen) {
    if (value == step.value(knob.name)) return better.size() < kValuesKept && -effect > kHopeless;
    better.insert(value);
  }
  return true;
}

SearchRun::Field SearchRun::environmentField(const Knob& knob) const {
  Field field;
  for (const Setting& step : space_.steps(best_.environment, knob)) {
    const Plan plan{space_.part(step, Layer::kProcess), best_.choices};
    if (!isUsable(plan) || !isPromising(knob, step)) continue;
    const auto known = std::find_if(screened_.begin(), screened_.end(), [&](const Comparison& one) {
      return one.candidate() == plan && one.incumbent() == best_;
    });
    if (known != screened_.end()) {
      field.push_back(*known);
    } else {
      field.emplace_back(plan, best_, std::vector<bool>(sizeCount(), true));
    }
  }
  return field;
}

bool SearchRun::isAcceptable(const Comparison& comparison) const {
  if (!comparison.gain(objective_).isBetter()) return false;
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    if (comparison.gainAt(i).isWorse(options_.tolerance)) return false;
  }
  return true;
}

void SearchRun::accept(const Comparison& comparison) {
  standing_ = standing_.then(comparison.gain(objective_));
  best_ = comparison.candidate();
}

Result<std::optional<Comparison>> SearchRun::tournament(Field field) {
  int pairs = 0;
  for (const int more : kRungs) {
    pairs += more;
    Field fought;
    for (Comparison& one : field) {
      const int missing = pairs - static_cast<int>(one.pairs());
      if (missing > 0) {
        RAILHEAD_TRY_ASSIGN(const bool done, fight(one, missing, Stage::kDescent));
        if (!done) continue;
      }
      if (one.gain(objective_).mean > 0) fought.push_back(std::move(one));
    }
    std::stable_sort(fought.begin(), fought.end(), [&](const Comparison& a, const Comparison& b) {
      return a.gain(objective_).mean > b.gain(objective_).mean;
    });
    if (pairs < static_cast<int>(kAllPairs)) {
      fought.erase(fought.begin() + static_cast<std::ptrdiff_t>((fought.size() + 1) / 2),
                   fought.end());
    }
    field = std::move(fought);
  }
  for (Comparison& one : field) {
    if (isAcceptable(one) && one.incumbent() == best_) {
      return std::optional<Comparison>(std::move(one));
    }
  }
  return std::optional<Comparison>();
}

Result<bool> SearchRun::environmentPass() {
  bool changed = false;
  for (const Knob* knob : rankedKnobs()) {
    RAILHEAD_TRY_ASSIGN(const auto winner, tournament(environmentField(*knob)));
    if (!winner.has_value()) continue;
    accept(*winner);
    changed = true;
  }
  return changed;
}

Result<void> SearchRun::restart() {
  const auto knobs = rankedKnobs();
  if (knobs.empty()) return {};
  const Plan home = best_;
  Setting environment = home.environment;
  for (int i = 0; i < kKnobsChanged; ++i) {
    const auto steps = space_.steps(environment, *knobs[random_.next() % knobs.size()]);
    if (!steps.empty()) {
      environment = space_.part(steps[random_.next() % steps.size()], Layer::kProcess);
    }
  }
  const std::vector<bool> everywhere(sizeCount(), true);
  Comparison away({environment, home.choices}, home, everywhere);
  if (environment == home.environment || !isUsable(away.candidate())) return {};
  RAILHEAD_TRY_ASSIGN(const bool begun, fight(away, kRungs[0], Stage::kRestart));
  if (!begun || away.gain(objective_).mean < kFarBehind) return {};
  home_ = Home{home, standing_};
  accept(away);
  RAILHEAD_TRY(environmentPass());
  RAILHEAD_TRY(choicesPass());
  const Plan found = best_;
  best_ = home;
  standing_ = home_->standing;
  home_.reset();
  RAILHEAD_TRY(giveUpCondemned());
  Comparison back(found, home, everywhere);
  RAILHEAD_TRY_ASSIGN(const bool done, fight(back, kAllPairs, Stage::kRestart));
  if (done && isAcceptable(back)) accept(back);
  return {};
}

}  // namespace railhead::tune

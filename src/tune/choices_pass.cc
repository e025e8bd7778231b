// Per-size choices: a candidate is measured at every size that it can carry, and each size takes
// what is best for it.
#include "src/tune/search_run.h"

#include <algorithm>
#include <map>
#include <utility>

namespace railhead::tune {
namespace {

// What one choice changes of another, as a key: the same change at several sizes is one candidate.
std::string changeText(const Setting& from, const Setting& to) {
  std::map<std::string_view, std::string_view> changes;
  for (const Setting* one : {&from, &to}) {
    for (const auto& [knob, value] : one->values()) {
      if (from.value(knob) != to.value(knob)) changes.emplace(knob, to.value(knob));
    }
  }
  std::string text;
  for (const auto& [knob, value] : changes) {
    text += std::string(knob) + '=' + std::string(value) + ' ';
  }
  return text;
}

struct Draft {
  Plan plan;
  std::vector<bool> active;
};

}  // namespace

std::string SearchRun::choiceKey(std::size_t size, const Setting& choice) const {
  return best_.environment.text() + '|' + std::to_string(size) + '|' + choice.text();
}

SearchRun::Field SearchRun::choiceField(const Knob& knob) const {
  std::map<std::string, Draft> drafts;
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    for (const Setting& step : space_.steps(best_.at(i), knob)) {
      if (space_.part(step, Layer::kProcess) != best_.environment) continue;
      const Setting choice = space_.part(step, Layer::kPerSize);
      if (!space_.carries(step, objective_.sizes()[i].operation) ||
          ledger_.isCondemned(step, objective_.sizes()[i]) ||
          beaten_.contains(choiceKey(i, choice))) {
        continue;
      }
      auto& draft = drafts
                        .try_emplace(changeText(best_.choices[i], choice),
                                     Draft{best_, std::vector<bool>(sizeCount(), false)})
                        .first->second;
      draft.plan.choices[i] = choice;
      draft.active[i] = true;
    }
  }
  Field field;
  for (auto& [key, draft] : drafts) {
    field.emplace_back(std::move(draft.plan), best_, std::move(draft.active));
  }
  return field;
}

// At each size the `most` that did best there stay, as far as they are faster at all.
void SearchRun::narrow(Field& field, std::size_t most) const {
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    std::vector<std::pair<double, Comparison*>> order;
    for (Comparison& one : field) {
      if (one.isActive(i)) order.emplace_back(-one.gainAt(i).mean, &one);
    }
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t place = 0; place < order.size(); ++place) {
      if (place >= most || order[place].first >= 0) order[place].second->deactivate(i);
    }
  }
  std::erase_if(field, [](const Comparison& one) { return !one.anyActive(); });
}

bool SearchRun::acceptChoices(const Field& field) {
  Plan next = best_;
  std::vector<Comparison::Pair> pairs(kAllPairs, {seconds_, seconds_, {}});
  for (std::size_t i = 0; i < sizeCount(); ++i) {
    const auto won = std::find_if(field.begin(), field.end(), [&](const Comparison& one) {
      return one.isActive(i) && one.pairs() >= kAllPairs && one.gainAt(i).isBetter();
    });
    if (won == field.end()) continue;
    beaten_.insert(choiceKey(i, best_.choices[i]));
    beaten_.erase(choiceKey(i, won->candidate().choices[i]));
    next.choices[i] = won->candidate().choices[i];
    for (std::size_t k = 0; k < kAllPairs; ++k) {
      pairs[k].incumbent[i] = won->all()[k].incumbent[i];
      pairs[k].candidate[i] = won->all()[k].candidate[i];
    }
  }
  if (next == best_) return false;
  std::vector<double> ratios;
  ratios.reserve(pairs.size());
  for (const auto& pair : pairs) {
    ratios.push_back(objective_.logRatio(pair.incumbent, pair.candidate));
  }
  standing_ = standing_.then(gainOf(ratios));
  best_ = std::move(next);
  return true;
}

Result<bool> SearchRun::choicesOf(const Knob& knob) {
  constexpr std::array<std::size_t, kRungs.size() - 1> kKept{2, 1};  // for the later rungs
  const Plan start = best_;
  Field field = choiceField(knob);
  for (std::size_t rung = 0; rung < kRungs.size(); ++rung) {
    if (rung > 0) narrow(field, kKept[rung - 1]);
    Field fought;
    for (Comparison& one : field) {
      RAILHEAD_TRY_ASSIGN(const bool done, fight(one, kRungs[rung], Stage::kChoices, true));
      if (!done) continue;
      for (std::size_t i = 0; rung == 0 && i < sizeCount(); ++i) {
        if (one.candidate().choices[i] != start.choices[i]) {
          beaten_.insert(choiceKey(i, one.candidate().choices[i]));
        }
      }
      fought.push_back(std::move(one));
    }
    field = std::move(fought);
  }
  for (const Comparison& one : field) {
    for (std::size_t i = 0; i < sizeCount(); ++i) {
      // Ahead, and not surely: it may try again in a later round.
      if (one.isActive(i)) beaten_.erase(choiceKey(i, one.candidate().choices[i]));
    }
  }
  return best_ == start && acceptChoices(field);
}

Result<bool> SearchRun::choicesPass() {
  bool changed = false;
  for (const Knob* knob : space_.ofLayer(Layer::kPerSize)) {
    RAILHEAD_TRY_ASSIGN(const bool one, choicesOf(*knob));
    changed = changed || one;
  }
  return changed;
}

}  // namespace railhead::tune

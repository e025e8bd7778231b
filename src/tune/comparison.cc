#include "src/tune/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace railhead::tune {
namespace {

double medianOf(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

constexpr double kMuchSlower = -0.69;  // logarithm of one half
constexpr double kFallsBehind = 0.1;
constexpr double kDisturbed = 0.1;

}  // namespace

Comparison::Comparison(Plan candidate, Plan incumbent, std::vector<bool> active)
    : candidate_(std::move(candidate)),
      incumbent_(std::move(incumbent)),
      active_(std::move(active)) {}

bool Comparison::anyActive() const {
  return std::find(active_.begin(), active_.end(), true) != active_.end();
}

bool Comparison::isCondemned(const Ledger& ledger, const Objective& objective) const {
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (active_[i] && ledger.isCondemned(candidate_.at(i), objective.sizes()[i])) return true;
  }
  return false;
}

// Sizes with one setting are measured in one go.
Result<Bout> Comparison::measure(const Measuring& measuring, std::uint64_t trial, const Plan& plan,
                                 std::vector<double>& seconds) const {
  std::map<Setting, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (active_[i]) groups[plan.at(i)].push_back(i);
  }
  for (const auto& [setting, indices] : groups) {
    if (measuring.stopped()) return Bout::kStopped;
    std::vector<Size> sizes;
    for (const std::size_t i : indices) sizes.push_back(measuring.objective.sizes()[i]);
    RAILHEAD_TRY_ASSIGN(Measurement measured,
                        measuring.ledger.measure(trial, setting, sizes, measuring.repetitions));
    if (measured.outcome != Outcome::kMeasured) {
      return &plan == &candidate_ ? Bout::kCandidateFailed : Bout::kIncumbentFailed;
    }
    for (std::size_t k = 0; k < indices.size(); ++k) {
      seconds[indices[k]] = medianOf(std::move(measured.seconds[k]));
    }
  }
  return Bout::kDone;
}

Result<Bout> Comparison::climb(const Measuring& measuring, std::uint64_t trial, Pair& pair) {
  const auto sizes = measuring.objective.sizes();
  const std::vector<bool> wanted = active_;
  std::vector<bool> reached(active_.size(), false);
  double before = 0;
  bool hopeless = false;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const bool sameOperation = i > 0 && sizes[i].operation == sizes[i - 1].operation;
    if (!sameOperation) {
      before = 0;
      hopeless = false;
    }
    if (!wanted[i] || hopeless) continue;
    active_.assign(active_.size(), false);
    active_[i] = true;
    RAILHEAD_TRY_ASSIGN(const Bout bout, measure(measuring, trial, candidate_, pair.candidate));
    if (bout == Bout::kCandidateFailed && !measuring.ledger.isCondemned(candidate_.at(i))) {
      hopeless = true;  // hung, which condemns it from this size on only
      continue;
    }
    if (bout != Bout::kDone) return bout;
    reached[i] = true;
    const double now = std::log(pair.incumbent[i] / pair.candidate[i]);
    hopeless = now < kMuchSlower && now < before - kFallsBehind;
    before = now;
  }
  active_ = std::move(reached);
  return anyActive() ? Bout::kDone : Bout::kCandidateFailed;
}

Result<Bout> Comparison::runPair(const Measuring& measuring, std::uint64_t trial, bool cautious) {
  Pair pair{std::vector<double>(active_.size(), 1), std::vector<double>(active_.size(), 1), {}};
  const bool candidateFirst = pairs_.size() % 2 == 1;
  for (const bool candidate : {candidateFirst, !candidateFirst}) {
    auto bout = !candidate ? measure(measuring, trial, incumbent_, pair.incumbent)
                : cautious ? climb(measuring, trial, pair)
                           : measure(measuring, trial, candidate_, pair.candidate);
    if (!bout.has_value() || *bout != Bout::kDone) return bout;
  }
  pair.active = active_;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (!active_[i]) pair.candidate[i] = pair.incumbent[i];
  }
  pairs_.push_back(std::move(pair));
  return Bout::kDone;
}

Result<Bout> Comparison::run(const Measuring& measuring, std::uint64_t trial, int pairs,
                             bool cautious) {
  for (int i = 0; i < pairs; ++i) {
    auto bout = runPair(measuring, trial, cautious && pairs_.empty());
    if (!bout.has_value() || *bout != Bout::kDone) return bout;
  }
  return Bout::kDone;
}

std::vector<double> Comparison::ratiosAt(std::size_t size) const {
  std::vector<double> ratios;
  for (const Pair& pair : pairs_) {
    if (pair.active[size]) ratios.push_back(std::log(pair.incumbent[size] / pair.candidate[size]));
  }
  return ratios;
}

bool Comparison::isDisturbed() const {
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (!active_[i]) continue;
    const auto ratios = ratiosAt(i);
    const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
    if (least != ratios.end() && *most - *least > kDisturbed) return true;
  }
  return false;
}

Gain Comparison::gainAt(std::size_t size) const { return gainOf(ratiosAt(size)); }

Gain Comparison::gain(const Objective& objective) const {
  std::vector<double> ratios;
  ratios.reserve(pairs_.size());
  for (const Pair& pair : pairs_) {
    ratios.push_back(objective.logRatio(pair.incumbent, pair.candidate));
  }
  return gainOf(ratios);
}

}  // namespace railhead::tune

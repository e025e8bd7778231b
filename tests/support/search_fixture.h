// What the tests of the search share.
#pragma once

#include "src/tune/search.h"
#include "tests/support/fake_landscape.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace railhead::tune {

using testing_support::FakeLandscape;
using testing_support::LandscapeOptions;

using TrueSeconds = std::function<double(const Setting&, const Size&)>;

inline std::vector<Setting> allOf(const Space& space, Layer layer) {
  return space.all(layer, 100'000).value();
}

// How many settings the space has in all.
inline std::size_t gridOf(const Space& space) {
  return allOf(space, Layer::kProcess).size() * allOf(space, Layer::kPerSize).size();
}

inline double logGainOf(const Objective& objective, const Plan& plan, const TrueSeconds& truth) {
  std::vector<double> before;
  std::vector<double> after;
  for (std::size_t i = 0; i < objective.sizes().size(); ++i) {
    before.push_back(truth({}, objective.sizes()[i]));
    after.push_back(truth(plan.at(i), objective.sizes()[i]));
  }
  return objective.logRatio(before, after);
}

// The best that is there, by looking at everything. Settings without a finite time are not.
inline double exhaustiveLogGain(const Space& space, const Objective& objective,
                                const TrueSeconds& truth) {
  const auto choices = allOf(space, Layer::kPerSize);
  const auto environments = allOf(space, Layer::kProcess);
  std::vector<double> before;
  for (const Size& size : objective.sizes()) before.push_back(truth({}, size));
  double best = 0;
  for (const Setting& environment : environments) {
    std::vector<double> after;
    for (const Size& size : objective.sizes()) {
      double least = std::numeric_limits<double>::infinity();
      for (const Setting& choice : choices) {
        if (!space.carries(choice, size.operation)) continue;
        least = std::min(least, truth(environment.merged(choice), size));
      }
      after.push_back(least);
    }
    best = std::max(best, objective.logRatio(before, after));
  }
  return best;
}

inline SearchResult searchIn(const Space& space, const Objective& objective, Bench& bench,
                             const SearchOptions& options) {
  auto result = search(space, objective, bench, options, {[] { return 0.0; }, {}, {}, {}});
  EXPECT_TRUE(result.has_value()) << result.error().describe();
  return result.has_value() ? std::move(*result) : SearchResult();
}

}  // namespace railhead::tune

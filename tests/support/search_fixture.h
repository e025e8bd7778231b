// What the tests of the search share.
#pragma once

#include "src/tune/search.h"
#include "tests/support/fake_landscape.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
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
  const auto environments = allOf(space, Layer::kProcess);
  const auto choices = allOf(space, Layer::kPerSize);
  const auto sizes = objective.sizes();
  std::vector<double> before;
  std::vector<std::vector<Setting>> carrying(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    before.push_back(truth({}, sizes[i]));
    std::copy_if(choices.begin(), choices.end(), std::back_inserter(carrying[i]),
                 [&](const Setting& one) { return space.carries(one, sizes[i].operation); });
  }
  double best = 0;
  for (const Setting& environment : environments) {
    std::vector<double> after(sizes.size(), 1);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (objective.weights()[i] == 0) continue;
      after[i] = std::numeric_limits<double>::infinity();
      for (const Setting& choice : carrying[i]) {
        after[i] = std::min(after[i], truth(environment.merged(choice), sizes[i]));
      }
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

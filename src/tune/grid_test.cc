// The search in a grid that was measured whole.
#include "tests/support/measured_grid.h"
#include "tests/support/search_fixture.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

using testing_support::MeasuredGrid;

Space gridSpace() { return FakeLandscape::smallSpace(); }

// Until one is measured on hardware: a simulated one, every setting of the small space.
std::string simulatedGrid() {
  FakeLandscape landscape({.seed = 77, .variant = 2, .spikes = 0.01});
  nlohmann::json json{{"format", "railhead-grid 1"}, {"simulated", true}};
  const auto sizes = FakeLandscape::sizes();
  for (const Size& size : sizes) {
    json["sizes"].push_back({{"operation", size.operation}, {"bytes", size.bytes}});
  }
  const auto choices = allOf(gridSpace(), Layer::kPerSize);
  const auto environments = allOf(gridSpace(), Layer::kProcess);
  for (const Setting& environment : environments) {
    for (const Setting& choice : choices) {
      const Setting setting = environment.merged(choice);
      if (setting.contains(*Setting::parse("algorithm=ring protocol=ll128"))) {
        json["settings"].push_back({{"setting", setting.text()}, {"outcome", "hung"}});
        continue;
      }
      json["settings"].push_back({{"setting", setting.text()},
                                  {"seconds", landscape.measure(setting, sizes, 12)->seconds}});
    }
  }
  return json.dump();
}

double medianOf(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

TEST(MeasuredGrid, TheSearchReachesNearlyItsBest) {
  const std::string json = simulatedGrid();
  const auto whole = MeasuredGrid::parse(json, 1);
  ASSERT_TRUE(whole.has_value()) << whole.error().describe();
  EXPECT_TRUE(whole->isSimulated());
  const Objective objective = *Objective::over(ObjectiveKind::kBandwidth, whole->sizes());
  std::map<std::pair<Setting, Size>, double> medians;
  for (const auto& [setting, measured] : whole->settings()) {
    for (std::size_t i = 0; i < whole->sizes().size(); ++i) {
      medians[{setting, whole->sizes()[i]}] = measured.outcome == Outcome::kMeasured
                                                  ? medianOf(measured.seconds[i])
                                                  : std::numeric_limits<double>::infinity();
    }
  }
  const TrueSeconds truth = [&](const Setting& setting, const Size& size) {
    return medians.at({setting, size});
  };
  const double best = exhaustiveLogGain(gridSpace(), objective, truth);
  EXPECT_GT(best, 0.1);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    MeasuredGrid bench = *whole;
    bench.reseed(seed);
    SearchOptions options;
    options.seed = seed;
    options.budget.trials = whole->settings().size() * 15 / 100;
    const auto result = searchIn(gridSpace(), objective, bench, options);
    EXPECT_LE(result.trials, options.budget.trials);
    EXPECT_GE(std::exp(logGainOf(objective, result.plan, truth) - best), 0.95) << seed;
  }
}

TEST(MeasuredGrid, OtherDocumentsAreRefused) {
  const auto refused = [](const char* json) { return !MeasuredGrid::parse(json, 1).has_value(); };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("{}"));
  EXPECT_TRUE(refused(R"({"format":"railhead-grid 1","simulated":true,"sizes":[],"settings":[]})"));
  const std::string head =
      R"({"format":"railhead-grid 1","simulated":true,"sizes":[{"operation":"allreduce","bytes":8}],)";
  EXPECT_TRUE(refused((head + R"("settings":[{"setting":"default","seconds":[[]]}]})").c_str()));
  EXPECT_TRUE(refused((head + R"("settings":[{"setting":"default","outcome":"hung"}]})").c_str()));
  auto grid =
      MeasuredGrid::parse(head + R"("settings":[{"setting":"default","seconds":[[2]]}]})", 1);
  ASSERT_TRUE(grid.has_value());
  const std::vector<Size> eight{{"allreduce", 8, false}};
  EXPECT_EQ(grid->measure({}, eight, 3)->seconds, (std::vector<std::vector<double>>{{2, 2, 2}}));
  EXPECT_EQ(grid->measure(Setting().with("a", "1"), eight, 1)->outcome, Outcome::kRefused);
  const std::vector<Size> nine{{"allreduce", 9, false}};
  EXPECT_EQ(grid->measure({}, nine, 1)->outcome, Outcome::kRefused);
}

}  // namespace
}  // namespace railhead::tune

// The search in a grid that was measured whole.
#include "src/tune/grid.h"

#include "tests/support/measured_grid.h"
#include "tests/support/search_fixture.h"

#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace railhead::tune {
namespace {

using testing_support::MeasuredGrid;

Space gridSpace() { return FakeLandscape::smallSpace(); }

// The landscape, in which one choice hangs wherever it is.
class HangingLandscape final : public Bench {
 public:
  Result<Measurement> measure(const Setting& setting, std::span<const Size> sizes,
                              int repetitions) override {
    ++measured_;
    if (setting.contains(*Setting::parse("algorithm=ring protocol=ll128")))
      return Measurement{Outcome::kHung, "by design", {}};
    return landscape_.measure(setting, sizes, repetitions);
  }
  int measured() const { return measured_; }

 private:
  FakeLandscape landscape_{{.seed = 77, .variant = 2, .spikes = 0.01}};
  int measured_ = 0;
};

// A simulated one, every setting of the small space.
std::string simulatedGrid() {
  HangingLandscape landscape;
  const auto grid = measureGrid(gridSpace(), FakeLandscape::sizes(), landscape, 12, {});
  EXPECT_TRUE(grid.has_value()) << grid.error().describe();
  auto json = nlohmann::json::parse(encode(*grid, "a landscape"));
  json["simulated"] = true;
  return json.dump();
}

double medianOf(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

// Over 100 seeds, with as many comparisons as 15 % of the grid has settings.
void expectSearchReachesNearlyTheBestOf(const std::string& json, const Space& space,
                                        const Objective& objective, double leastBest,
                                        double share = 0.95) {
  const auto whole = MeasuredGrid::parse(json, 1);
  ASSERT_TRUE(whole.has_value()) << whole.error().describe();
  EXPECT_EQ(whole->settings().size(), gridOf(space));
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
  const double best = exhaustiveLogGain(space, objective, truth);
  EXPECT_GT(best, leastBest);
  std::vector<double> reached;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    MeasuredGrid bench = *whole;
    bench.reseed(seed);
    SearchOptions options;
    options.seed = seed;
    options.budget.trials = whole->settings().size() * 15 / 100;
    const auto result = searchIn(space, objective, bench, options);
    EXPECT_LE(result.trials, options.budget.trials);
    reached.push_back(std::exp(logGainOf(objective, result.plan, truth) - best));
    EXPECT_GE(reached.back(), share) << seed;
  }
  std::printf("the best is %+.1f %%; reached at least %.3f of it, %.3f in the middle\n",
              (std::exp(best) - 1) * 100, *std::min_element(reached.begin(), reached.end()),
              medianOf(reached));
}

TEST(MeasuredGrid, TheSearchReachesNearlyTheBestOfASimulatedOne) {
  expectSearchReachesNearlyTheBestOf(
      simulatedGrid(), gridSpace(),
      *Objective::over(ObjectiveKind::kBandwidth, FakeLandscape::sizes()), 0.1);
}

// bench/several_gpus.py, with these knobs.
class GridOfH200s : public testing::Test {
 protected:
  static std::string read(const std::string& name) {
    std::ifstream file("tests/fixtures/tune/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::vector<Size> sizesOf(const std::string& json) {
    return MeasuredGrid::parse(json, 1).value().sizes();
  }
  static Objective bandwidthOf(const std::string& json) {
    return *Objective::over(ObjectiveKind::kBandwidth, sizesOf(json));
  }
  static Space spaceOf(const Platform& platform) {
    std::vector<KnobChoice> knobs;
    for (const char* knob : {"algorithm=tree,ring", "protocol", "channels=2,8,32",
                             "NCCL_NTHREADS=256,512", "NCCL_BUFFSIZE=1048576,8388608"}) {
      knobs.push_back(*parseKnobChoice(knob));
    }
    return *narrowed(ncclSpace(platform), knobs);
  }
};

// Repetitions scatter by 0.5 %. By bandwidth hardly anything beats the default there; a step that
// gathers parameters has more to gain.
TEST_F(GridOfH200s, TheSearchReachesNearlyTheBestOverNvlink) {
  const std::string json = read("grid_nvlink_two_h200.json");
  const Space space = spaceOf({.nodes = 1});
  expectSearchReachesNearlyTheBestOf(json, space, bandwidthOf(json), std::log(1.02), 0.99);
  const auto step = Objective::histogram({{{"allgather", 8 << 20, false}, 48},
                                          {{"allreduce", 64 << 20, false}, 1},
                                          {{"allreduce", 1 << 20, false}, 8}});
  expectSearchReachesNearlyTheBestOf(json, space, *step, std::log(1.1), 0.98);
}

// Two ranks on one H200 as two hosts, over sockets of one loopback. Repetitions scatter by 4 %, and
// the medians of ranks that are started anew by 6 %, in some settings by 25 %: this grid was
// measured whole four times, and a search meets another start with each environment.
TEST_F(GridOfH200s, TheSearchReachesNearlyTheBestOverSockets) {
  const std::string json = read("grid_two_hosts_one_h200.json");
  expectSearchReachesNearlyTheBestOf(json, spaceOf({.overSockets = true}),
                                     *Objective::over(ObjectiveKind::kLatency, sizesOf(json)),
                                     std::log(1.2), 0.95);
}

TEST(Grid, HasEverySettingOnceWithTheDefaultFirst) {
  HangingLandscape landscape;
  const Space space =
      *narrowed(gridSpace(), std::vector<KnobChoice>{*parseKnobChoice("algorithm"),
                                                     *parseKnobChoice("protocol=ll128,simple")});
  std::size_t told = 0;
  const auto sizes = FakeLandscape::sizes();
  const auto grid =
      measureGrid(space, sizes, landscape, 2, {{}, [&](std::size_t done, std::size_t all) {
                                                 EXPECT_LE(done, all);
                                                 told = done;
                                               }});
  ASSERT_TRUE(grid.has_value()) << grid.error().describe();
  EXPECT_EQ(grid->entries.size(), allOf(space, Layer::kPerSize).size());
  EXPECT_EQ(told, grid->entries.size());
  EXPECT_EQ(landscape.measured(), static_cast<int>(told));
  EXPECT_TRUE(grid->entries.front().setting.isDefault());
  EXPECT_EQ(grid->entries.front().measurement.seconds.size(), sizes.size());
  const auto hung = std::find_if(grid->entries.begin(), grid->entries.end(), [](const auto& one) {
    return one.measurement.outcome == Outcome::kHung;
  });
  ASSERT_NE(hung, grid->entries.end());
  EXPECT_EQ(hung->setting.text(), "algorithm=ring protocol=ll128");
  const auto stopped = measureGrid(space, sizes, landscape, 2, {[] { return true; }, {}});
  EXPECT_EQ(stopped.error().code, ErrorCode::kUnavailable);
}

TEST(Grid, KnobsThatTheSpaceHasNotAreNamed) {
  const auto refusal = [](const std::vector<const char*>& words) {
    std::vector<KnobChoice> choices;
    for (const char* word : words) choices.push_back(*parseKnobChoice(word));
    const auto space = narrowed(gridSpace(), choices);
    return space.has_value() ? "" : space.error().message;
  };
  EXPECT_EQ(refusal({"algorithm", "protocol"}), "");
  EXPECT_THAT(refusal({"colour"}), testing::HasSubstr("allowed: algorithm, "));
  EXPECT_THAT(refusal({"algorithm=snake", "protocol"}), testing::HasSubstr("'snake'; allowed: "));
  EXPECT_EQ(refusal({"algorithm", "algorithm"}), "knob algorithm is named twice");
  EXPECT_EQ(refusal({"protocol"}), "knob protocol needs algorithm");
  for (const char* bad : {"", "=", "a=", "a=b,", "a b", "=b"})
    EXPECT_FALSE(parseKnobChoice(bad).has_value()) << bad;
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

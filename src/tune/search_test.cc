#include "src/tune/search.h"

#include "tests/support/search_fixture.h"

#include <map>
#include <set>

#include <gmock/gmock.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;

Objective bandwidth() {
  return *Objective::over(ObjectiveKind::kBandwidth, FakeLandscape::sizes());
}

SearchOptions optionsFor(const Space& space, std::uint64_t seed) {
  SearchOptions options;
  options.seed = seed;
  options.budget.trials = gridOf(space) * 15 / 100;
  return options;
}

// Same in all it does; remembers what it was asked.
class WatchedBench final : public Bench {
 public:
  explicit WatchedBench(Bench& inner) : inner_(inner) {}
  Result<Measurement> measure(const Setting& setting, std::span<const Size> sizes,
                              int repetitions) override {
    for (const Failed& bad : failed) {
      const bool there = std::any_of(sizes.begin(), sizes.end(),
                                     [&](const Size& size) { return bad.holdsAt(size); });
      if (there && setting.contains(bad.setting)) proposedAgain.push_back(setting);
    }
    auto measured = inner_.measure(setting, sizes, repetitions);
    if (measured.has_value() && measured->outcome != Outcome::kMeasured) {
      failed.push_back({setting, measured->outcome, {sizes.begin(), sizes.end()}});
    }
    return measured;
  }
  struct Failed {
    Setting setting;
    Outcome outcome;
    std::vector<Size> sizes;
    // What hung as a choice per size may stand below.
    bool holdsAt(const Size& size) const {
      if (outcome != Outcome::kHung || setting.value("algorithm") == kDefault) return true;
      return std::any_of(sizes.begin(), sizes.end(), [&](const Size& one) {
        return one.operation == size.operation && one.bytes <= size.bytes;
      });
    }
  };
  std::vector<Failed> failed;
  std::vector<Setting> proposedAgain;

 private:
  Bench& inner_;
};

// Every setting alike: whatever is found better here is imagined.
class FlatBench final : public Bench {
 public:
  FlatBench(std::uint64_t seed, double drift) : random_(seed), drift_(drift) {}
  Result<Measurement> measure(const Setting&, std::span<const Size> sizes, int count) override {
    ++calls_;
    Measurement out;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto& series = out.seconds.emplace_back();
      for (int k = 0; k < count; ++k) {
        const double uniform = static_cast<double>(random_.next() >> 11) * 0x1p-53;
        series.push_back(1e-3 * std::exp(drift_ * calls_ + 0.06 * uniform));
      }
    }
    return out;
  }

 private:
  SplitMix random_;
  double drift_;
  double calls_ = 0;
};

TEST(Search, ReachesNearlyTheBestInAFewTrialsOverAHundredSeeds) {
  const Space space = FakeLandscape::smallSpace();
  const Objective objective = bandwidth();
  std::map<std::uint64_t, double> bestOf;
  double worstShare = 1;
  std::uint64_t mostTrials = 0;
  std::uint64_t mostCalls = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    FakeLandscape bench({.seed = seed, .variant = seed % 12});
    const TrueSeconds truth = [&](const Setting& a, const Size& b) {
      return bench.trueSeconds(a, b);
    };
    double& best = bestOf[seed % 12];
    if (best == 0) best = exhaustiveLogGain(space, objective, truth);
    const auto result = searchIn(space, objective, bench, optionsFor(space, seed));
    EXPECT_TRUE(result.isBetter()) << seed;
    const double share = std::exp(logGainOf(objective, result.plan, truth) - best);
    EXPECT_GE(share, 0.95) << "seed " << seed << ", trials " << result.trials << ", environment "
                           << result.plan.environment.text();
    EXPECT_LE(share, 1 + 1e-9) << seed;  // or the exhaustive best is not the best
    EXPECT_LE(result.trials, gridOf(space) * 15 / 100);
    worstShare = std::min(worstShare, share);
    mostTrials = std::max(mostTrials, result.trials);
    mostCalls = std::max(mostCalls, bench.calls());
  }
  RecordProperty("worst_share_permille", static_cast<int>(1000 * worstShare));
  RecordProperty("most_trials", static_cast<int>(mostTrials));
  RecordProperty("most_measurements", static_cast<int>(mostCalls));
  RecordProperty("grid", static_cast<int>(gridOf(space)));
}

TEST(Search, ReachesNearlyTheBestOfALargeSpace) {
  const Space space = FakeLandscape::space();
  const Objective objective = bandwidth();
  const double best = exhaustiveLogGain(space, objective,
                                        [bench = FakeLandscape({})](const auto& a, const auto& b) {
                                          return bench.trueSeconds(a, b);
                                        });
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    FakeLandscape bench({.seed = seed});
    SearchOptions options;
    options.seed = seed;
    options.budget.trials = 300;  // 0.3 % of the grid
    const auto result = searchIn(space, objective, bench, options);
    const double found = logGainOf(objective, result.plan, [&](const Setting& a, const Size& b) {
      return bench.trueSeconds(a, b);
    });
    EXPECT_GE(std::exp(found - best), 0.95)
        << seed << ' ' << result.plan.environment.text() << ' ' << result.trials;
    EXPECT_LE(result.trials, 300U);
  }
  EXPECT_GT(gridOf(space), 90'000U);
}

TEST(Search, EachSizeGetsWhatIsBestForIt) {
  FakeLandscape bench({});
  const Objective latency = *Objective::over(ObjectiveKind::kLatency, FakeLandscape::sizes());
  const auto result = searchIn(FakeLandscape::smallSpace(), latency, bench,
                               optionsFor(FakeLandscape::smallSpace(), 1));
  ASSERT_TRUE(result.validated);
  ASSERT_EQ(result.sizes.size(), latency.sizes().size());
  for (std::size_t i = 0; i < latency.sizes().size(); ++i) {
    const Size& size = latency.sizes()[i];
    if (size.bytes != 65536) continue;  // where the default is weak
    EXPECT_TRUE(result.sizes[i].gain.isBetter()) << size.operation;
    EXPECT_NE(result.plan.choices[i].value("protocol"), "ll");
    EXPECT_NE(result.plan.choices[i].value("protocol"), kDefault);
  }
}

TEST(Search, NoPlantedFaultIsEverAcceptedOrProposedAgain) {
  const Space space = FakeLandscape::smallSpace();
  const Objective objective = bandwidth();
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    LandscapeOptions options{.seed = seed, .variant = seed % 12};
    // The fastest of each kind, and a pair of which each alone is good.
    options.faults = {
        {*Setting::parse("algorithm=ring protocol=ll128"), Outcome::kHung},
        {Setting().with("NCCL_IB_QPS_PER_CONNECTION", "4"), Outcome::kCorrupt},
        {*Setting::parse("NCCL_BUFFSIZE=8388608 NCCL_NTHREADS=512"), Outcome::kCrashed},
        {Setting()
             .with("NCCL_BUFFSIZE", "16777216")
             .with("algorithm", "ring")
             .with("protocol", "simple"),
         Outcome::kCorrupt},
        {Setting().with("NCCL_NTHREADS", "256"), Outcome::kRefused}};
    FakeLandscape landscape(options);
    WatchedBench bench(landscape);
    const auto result = searchIn(space, objective, bench, optionsFor(space, seed));
    EXPECT_TRUE(result.validated) << seed;
    for (std::size_t i = 0; i < objective.sizes().size(); ++i) {
      EXPECT_FALSE(landscape.isFaulty(result.plan.at(i), objective.sizes()[i]))
          << seed << ' ' << result.plan.at(i).text();
    }
    EXPECT_THAT(bench.proposedAgain, testing::IsEmpty()) << seed;
    EXPECT_EQ(result.condemned.size(), bench.failed.size());
    EXPECT_GE(result.condemned.size(), 3U) << seed;
  }
}

// LL is best where it is small, and hangs where it is large; no size between them warns of it.
TEST(Search, AHangAtALargeSizeLeavesTheSmallOnesTheirChoice) {
  const Space space = FakeLandscape::smallSpace();
  const Objective objective = *Objective::over(
      ObjectiveKind::kLatency,
      {{"allreduce", 256, false}, {"allreduce", 1024, false}, {"allreduce", 64U << 20, false}});
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    FakeLandscape landscape(
        {.seed = seed,
         .variant = seed % 12,
         .stockIsSimple = true,
         .faults = {{Setting().with("protocol", "ll"), Outcome::kHung, 1U << 20}}});
    WatchedBench bench(landscape);
    const auto result = searchIn(space, objective, bench, optionsFor(space, seed));
    ASSERT_TRUE(result.validated) << seed;
    EXPECT_EQ(result.plan.choices[0].value("protocol"), "ll") << seed;
    EXPECT_EQ(result.plan.choices[1].value("protocol"), "ll") << seed;
    EXPECT_NE(result.plan.choices[2].value("protocol"), "ll") << seed;
    EXPECT_THAT(bench.failed, testing::Not(testing::IsEmpty())) << seed;
    EXPECT_THAT(bench.proposedAgain, testing::IsEmpty()) << seed;
  }
}

TEST(Search, EndsBeforeItHasMoreRecordsThanCanBeReadBack) {
  const Space space = FakeLandscape::smallSpace();
  FakeLandscape bench({});
  SearchOptions options;
  options.budget.trials = 1'000'000'000;
  options.restarts = 1'000'000'000;
  options.repetitions = 1;
  std::size_t kept = 0;
  SearchHooks hooks;
  hooks.seconds = [] { return 0.0; };
  hooks.keep = [&](const TrialRecord&) -> Result<void> {
    ++kept;
    return {};
  };
  const auto result = search(space, bandwidth(), bench, options, hooks);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_EQ(result->end, SearchEnd::kBudget);
  EXPECT_TRUE(result->validated);
  EXPECT_GT(kept, kMaxRecords / 2);
  EXPECT_LE(kept, kMaxRecords);
}

TEST(Search, DriftDoesNotFoolIt) {
  const Space space = FakeLandscape::smallSpace();
  const Objective objective = bandwidth();
  for (const double drift : {-0.002, 0.002}) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      FlatBench flat(seed, drift);
      const auto nothing = searchIn(space, objective, flat, optionsFor(space, seed));
      EXPECT_LT(nothing.gain.factor(), 1.01) << seed << ' ' << drift;
      for (const SizeResult& size : nothing.sizes) EXPECT_LT(size.gain.lowFactor(), 1.02) << seed;

      FakeLandscape bench({.seed = seed, .driftPerCall = drift});
      const TrueSeconds truth = [&](const Setting& a, const Size& b) {
        return bench.trueSeconds(a, b);
      };
      const auto result = searchIn(space, objective, bench, optionsFor(space, seed));
      const double best = exhaustiveLogGain(space, objective, truth);
      EXPECT_GE(std::exp(logGainOf(objective, result.plan, truth) - best), 0.95)
          << seed << ' ' << drift;
    }
  }
}

struct Recorded {
  SearchResult result;
  std::string records;
};

// Stops when `stopAfter` records were kept.
Recorded recordedSearch(std::uint64_t seed, std::string records, std::size_t stopAfter) {
  const Space space = FakeLandscape::smallSpace();
  FakeLandscape bench({.seed = seed});
  auto before = *decodeRecords(records, "records");
  bench.skip(before.size());
  std::size_t kept = before.size();
  SearchHooks hooks;
  hooks.seconds = [&] { return bench.elapsedSeconds(); };
  hooks.stopped = [&] { return kept >= stopAfter; };
  hooks.keep = [&](const TrialRecord& record) -> Result<void> {
    records += encode(record);
    ++kept;
    return {};
  };
  auto result = search(space, bandwidth(), bench, optionsFor(space, seed), hooks, before);
  EXPECT_TRUE(result.has_value()) << result.error().describe();
  return {std::move(*result), std::move(records)};
}

std::string withoutTimes(const std::string& records) {
  std::string out;
  auto decoded = decodeRecords(records, "records").value();
  for (TrialRecord& record : decoded) {
    record.elapsedSeconds = 0;
    out += encode(record);
  }
  return out;
}

TEST(Search, ResumedGivesTheAnswerOfOneThatWasNotInterrupted) {
  const auto whole = recordedSearch(5, "", 1'000'000);
  ASSERT_TRUE(whole.result.validated);
  const auto count = decodeRecords(whole.records, "records")->size();
  for (const std::size_t stop : {std::size_t{1}, count / 3, count / 2, count - 1}) {
    const auto begun = recordedSearch(5, "", stop);
    EXPECT_EQ(begun.result.end, SearchEnd::kInterrupted);
    EXPECT_FALSE(begun.result.validated);
    const auto resumed = recordedSearch(5, begun.records, 1'000'000);
    EXPECT_EQ(withoutTimes(resumed.records), withoutTimes(whole.records)) << stop;
    EXPECT_EQ(resumed.result.plan, whole.result.plan);
    EXPECT_EQ(resumed.result.gain, whole.result.gain);
    EXPECT_EQ(resumed.result.trials, whole.result.trials);
    // The first measurement after the pause starts ranks once more.
    EXPECT_NEAR(resumed.result.seconds, whole.result.seconds, 2.001);
  }
}

TEST(Search, RecordsOfAnotherSearchAreRefused) {
  const auto begun = recordedSearch(5, "", 40);
  FakeLandscape bench({});
  const auto latency = *Objective::over(ObjectiveKind::kLatency, {{"allreduce", 8, false}});
  const auto result = search(FakeLandscape::smallSpace(), latency, bench, {},
                             {[] { return 0.0; }, {}, {}, {}}, *decodeRecords(begun.records, "r"));
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, HasSubstr("do not begin as this search does"));
}

TEST(Search, InterruptedKeepsTheBestSoFar) {
  const Space space = FakeLandscape::smallSpace();
  FakeLandscape bench({.variant = 1});
  Plan told;
  Gain gain;
  SearchHooks hooks;
  hooks.seconds = [] { return 0.0; };
  hooks.stopped = [&] { return gain.mean > 0.02; };  // once something was accepted
  hooks.progress = [&](const Progress& progress) {
    told = *progress.best;
    gain = progress.gain;
  };
  const auto result = search(space, bandwidth(), bench, optionsFor(space, 1), hooks);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->end, SearchEnd::kInterrupted);
  EXPECT_FALSE(result->validated);
  EXPECT_FALSE(result->isBetter());  // not proven by a fresh run
  EXPECT_FALSE(result->isSettled());
  EXPECT_EQ(result->plan, told);
  EXPECT_NE(result->plan, Plan({}, std::vector<Setting>(FakeLandscape::sizes().size())));
  EXPECT_GT(result->gain.mean, 0.02);
}

TEST(Search, ABudgetTooSmallForAFreshRunEndsWithTheDefaultAndIsNotCalledValidated) {
  FakeLandscape bench({});
  SearchOptions options;
  options.budget.seconds = 0.001;
  SearchHooks hooks;
  hooks.seconds = [&] { return bench.elapsedSeconds(); };
  const auto result = search(FakeLandscape::smallSpace(), bandwidth(), bench, options, hooks);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_EQ(result->end, SearchEnd::kBudget);
  EXPECT_FALSE(result->validated);
  EXPECT_FALSE(result->freshRunFailed);
  EXPECT_TRUE(result->sizes.empty());
  EXPECT_FALSE(result->isBetter());
  EXPECT_TRUE(result->isSettled());  // the default needs no proof
}

// Sound until the fresh run: then all but the default crashes.
class CrashesLate final : public Bench {
 public:
  CrashesLate(Bench& inner, std::uint64_t soundCalls) : inner_(inner), sound_(soundCalls) {}
  Result<Measurement> measure(const Setting& setting, std::span<const Size> sizes,
                              int repetitions) override {
    if (calls_++ >= sound_ && !setting.isDefault())
      return Measurement{Outcome::kCrashed, "late", {}};
    return inner_.measure(setting, sizes, repetitions);
  }

 private:
  Bench& inner_;
  std::uint64_t sound_;
  std::uint64_t calls_ = 0;
};

TEST(Search, WhatFailsInTheFreshRunIsNotSaidToHaveNeverBeenTried) {
  const Space space = FakeLandscape::smallSpace();
  std::uint64_t before = 0;
  FakeLandscape landscape({});
  SearchHooks hooks;
  hooks.seconds = [] { return 0.0; };
  hooks.progress = [&](const Progress& progress) {
    if (progress.stage != Stage::kValidation) before = landscape.calls();
  };
  const auto sound = search(space, bandwidth(), landscape, optionsFor(space, 1), hooks);
  ASSERT_TRUE(sound.has_value()) << sound.error().describe();
  ASSERT_TRUE(sound->isBetter());
  EXPECT_FALSE(sound->freshRunFailed);

  FakeLandscape same({});
  CrashesLate bench(same, before);
  hooks.progress = nullptr;
  const auto result = search(space, bandwidth(), bench, optionsFor(space, 1), hooks);
  ASSERT_TRUE(result.has_value()) << result.error().describe();
  EXPECT_FALSE(result->validated);
  EXPECT_TRUE(result->freshRunFailed);
  EXPECT_TRUE(result->isSettled());
  EXPECT_EQ(result->plan, Plan({}, std::vector<Setting>(FakeLandscape::sizes().size())));
  EXPECT_FALSE(result->condemned.empty());
}

TEST(Search, EndsWithinItsTime) {
  const Space space = FakeLandscape::space();
  for (const double seconds : {60.0, 300.0}) {
    FakeLandscape bench({});
    SearchOptions options;
    options.budget.seconds = seconds;
    double left = 0;
    SearchHooks hooks;
    hooks.seconds = [&] { return bench.elapsedSeconds(); };
    hooks.progress = [&](const Progress& progress) { left = progress.secondsLeft.value_or(-1); };
    const auto result = search(space, bandwidth(), bench, options, hooks);
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->end, SearchEnd::kBudget);
    EXPECT_TRUE(result->validated);
    EXPECT_LT(result->seconds, 1.5 * seconds);
    EXPECT_GE(left, 0);
  }
}

TEST(Search, ADefaultThatFailsIsAnError) {
  FakeLandscape bench({.faults = {{Setting(), Outcome::kHung}}});
  const Space space = FakeLandscape::smallSpace();
  const auto result =
      search(space, bandwidth(), bench, optionsFor(space, 1), {[] { return 0.0; }, {}, {}, {}});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(result.error().message, HasSubstr("the default setting hung: planted"));
  EXPECT_THAT(result.error().remedy, HasSubstr("let railhead verify and railhead bench pass"));
}

TEST(Search, ADefaultThatIsRefusedOrFindsNoRoomSaysWhatToDo) {
  class Failing final : public Bench {
   public:
    explicit Failing(Measurement all) : all_(std::move(all)) {}
    Result<Measurement> measure(const Setting&, std::span<const Size>, int) override {
      return all_;
    }

   private:
    Measurement all_;
  };
  const auto errorOf = [](Outcome outcome, const std::string& detail) {
    Failing bench({outcome, detail, {}});
    const auto found = search(FakeLandscape::smallSpace(), bandwidth(), bench, {},
                              {[] { return 0.0; }, {}, {}, {}});
    return found.has_value() ? Error() : found.error();
  };
  const Error refused = errorOf(Outcome::kRefused, "rank 0 ended");
  EXPECT_EQ(refused.code, ErrorCode::kCheckFailed);
  EXPECT_EQ(refused.message, "the default setting is refused: rank 0 ended");
  EXPECT_THAT(refused.remedy, HasSubstr("let railhead verify and railhead bench pass"));
  EXPECT_EQ(errorOf(Outcome::kRefused, "no driver (remedy: install it)").remedy, "");
  const Error large = errorOf(Outcome::kNoRoom, "--max-size 1 TiB: (remedy: give at most 1 GiB)");
  EXPECT_EQ(large.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(large.message, "--max-size 1 TiB: (remedy: give at most 1 GiB)");
  EXPECT_EQ(large.remedy, "");
}

TEST(Search, SaysWhichKnobsMattered) {
  FakeLandscape bench({});
  const Space space = FakeLandscape::smallSpace();
  const auto result = searchIn(space, bandwidth(), bench, optionsFor(space, 3));
  std::map<std::string, double> most;
  for (const Effect& effect : result.effects) {
    most[effect.knob] = std::max(most[effect.knob], effect.gain.mean);
  }
  EXPECT_GT(most["NCCL_IB_QPS_PER_CONNECTION"], 0.05);
  EXPECT_EQ(most.count("algorithm"), 0U);
}

}  // namespace
}  // namespace railhead::tune

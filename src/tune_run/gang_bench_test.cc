// The bench over scripted gangs: what the ranks say is what a setting is judged by.
#include "src/tune_run/gang_bench.h"

#include "src/tune/search.h"

#include <deque>
#include <functional>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;
using Kind = Gang::Heard::Kind;

// Time that only waiting moves.
class WaitedClock final : public os::Clock {
 public:
  TimePoint now() override { return now_; }
  std::chrono::system_clock::time_point wallTime() override { return {}; }
  void sleepFor(Duration duration) override { now_ += duration; }
  void moveTo(TimePoint to) { now_ = std::max(now_, to); }

 private:
  TimePoint now_{};
};

RankFacts hostRank() {
  RankFacts facts;
  facts.node = "spark-a";
  facts.backend = "host";
  facts.mtu = 1500;
  facts.overSockets = true;
  return facts;
}

struct World {
  WaitedClock clock;
  int started = 0;
  int alive = 0;
  std::vector<Setting> processes;  // of the gangs, as they were started
  // What a gang does with an order, given the process' setting; empty: answers with seconds.
  std::function<std::vector<Gang::Heard>(const Setting&, const Order&)> obey;
  std::function<std::vector<Gang::Heard>(const Setting&)> begin;
  double secondsOf = 0.001;
};

std::vector<Gang::Heard> times(const Order& order, double seconds) {
  std::vector<Gang::Heard> out;
  for (std::size_t i = 0; i < order.sizes.size(); ++i) {
    const auto repetitions = static_cast<std::size_t>(order.repetitions);
    out.push_back({Kind::kReply,
                   encode(TimesReply{order.number, i, std::vector<double>(repetitions, seconds)}),
                   false});
  }
  return out;
}

Gang::Heard failure(Outcome outcome, const std::string& detail) {
  return {Kind::kReply, encode(FailedReply{outcome, detail}), false};
}

class ScriptedGang final : public Gang {
 public:
  ScriptedGang(World& world, Setting process) : world_(world), process_(std::move(process)) {
    ++world_.alive;
    if (world_.begin) {
      for (auto& one : world_.begin(process_)) said_.push_back(std::move(one));
    }
    if (!said_.empty()) return;
    for (std::uint64_t rank = 0; rank < 2; ++rank)
      said_.push_back({Kind::kReply, encode(FactsReply{rank, 2, hostRank()}), false});
  }
  ~ScriptedGang() override { --world_.alive; }

  Result<void> tell(std::string_view line) override {
    const Order order = decodeOrder(line).value();
    auto answers = world_.obey ? world_.obey(process_, order) : times(order, world_.secondsOf);
    for (auto& one : answers) said_.push_back(std::move(one));
    return {};
  }
  Result<Heard> hear(os::Clock::TimePoint deadline) override {
    if (said_.empty()) {
      world_.clock.moveTo(deadline);
      return Heard{};
    }
    Heard first = said_.front();
    if (first.kind != Kind::kOver) said_.pop_front();
    return first;
  }

 private:
  World& world_;
  Setting process_;
  std::deque<Heard> said_;
};

class ScriptedStarter final : public GangStarter {
 public:
  explicit ScriptedStarter(World& world) : world_(world) {}
  Result<std::unique_ptr<Gang>> start(const Setting& process, int slot) override {
    EXPECT_LT(world_.alive, 2) << "slot " << slot;
    ++world_.started;
    world_.processes.push_back(process);
    return std::unique_ptr<Gang>(new ScriptedGang(world_, process));
  }

 private:
  World& world_;
};

class GangBenchTest : public testing::Test {
 protected:
  Measurement measure(const Setting& setting) {
    const auto found = bench_.measure(setting, sizes_, 3);
    EXPECT_TRUE(found.has_value()) << found.error().describe();
    return found.has_value() ? *found : Measurement{};
  }
  static Setting with(std::string_view knob, std::string_view value) {
    return Setting().with(knob, value);
  }

  World world_;
  ScriptedStarter starter_{world_};
  GangBench bench_{starter_, world_.clock, {}};
  std::vector<Size> sizes_{{"allreduce", 1024, false}, {"allreduce", 65536, false}};
};

TEST_F(GangBenchTest, ChoicesKeepTheRanksAndEnvironmentsWantNewOnes) {
  ASSERT_TRUE(bench_.open().has_value());
  EXPECT_EQ(measure({}).seconds, (std::vector<std::vector<double>>(2, {0.001, 0.001, 0.001})));
  measure(with("algorithm", "ring"));
  measure(with("algorithm", "direct"));
  EXPECT_EQ(world_.started, 1);
  measure(with("segment", "65536"));
  EXPECT_EQ(world_.started, 2);
  // In turns: both gangs stay.
  for (int i = 0; i < 3; ++i) {
    measure({});
    measure(with("segment", "65536").with("algorithm", "ring"));
  }
  EXPECT_EQ(world_.started, 2);
  // A third takes the place of the one used longer ago.
  measure(with("segment", "262144"));
  measure(with("segment", "65536"));
  EXPECT_EQ(world_.started, 3);
  EXPECT_EQ(world_.alive, 2);
}

TEST_F(GangBenchTest, ACandidateIsJudgedByWhatSaysMostOfIt) {
  struct Case {
    std::vector<Gang::Heard> said;
    Outcome outcome;
    const char* detail;
  };
  const Gang::Heard over{Kind::kOver, "rank 1 ended with exit code 1", false};
  const Gang::Heard killed{Kind::kOver, "rank 1 ended with signal 11", true};
  const Case cases[] = {
      {{failure(Outcome::kCrashed, "rank 1 gave up"), failure(Outcome::kHung, "30 s"), over},
       Outcome::kHung,
       "30 s"},
      {{failure(Outcome::kCorrupt, "8 wrong elements"), over}, Outcome::kCorrupt, "8 wrong"},
      {{failure(Outcome::kHung, "a peer is silent"), killed}, Outcome::kCrashed, "signal 11"},
      {{failure(Outcome::kCorrupt, "8 wrong elements"), killed}, Outcome::kCorrupt, "8 wrong"},
      {{over}, Outcome::kCrashed, "exit code 1"},
      {{failure(Outcome::kRefused, "no such algorithm"), over}, Outcome::kRefused, "no such"},
      {{}, Outcome::kHung, "no rank answered"},
  };
  for (const Case& one : cases) {
    world_.obey = [&](const Setting&, const Order& order) {
      return order.choice.isDefault() ? times(order, 0.001) : one.said;
    };
    const Measurement found = measure(with("algorithm", "ring"));
    EXPECT_EQ(found.outcome, one.outcome) << one.detail;
    EXPECT_THAT(found.detail, HasSubstr(one.detail));
    EXPECT_TRUE(found.seconds.empty());
    // The ranks are gone; the default measures on new ones.
    EXPECT_EQ(world_.alive, 0);
    EXPECT_EQ(measure({}).outcome, Outcome::kMeasured);
  }
}

TEST_F(GangBenchTest, AFailureHalfWayCountsForNothing) {
  world_.obey = [&](const Setting&, const Order& order) {
    auto said = times(order, 0.001);
    said.pop_back();
    said.push_back(failure(Outcome::kCorrupt, "1 wrong element"));
    return said;
  };
  const Measurement found = measure({});
  EXPECT_EQ(found.outcome, Outcome::kCorrupt);
  EXPECT_TRUE(found.seconds.empty());
}

TEST_F(GangBenchTest, RanksThatDoNotStartCondemnAnEnvironmentButEndASearchOfTheDefault) {
  world_.begin = [](const Setting& process) {
    if (process.isDefault()) return std::vector<Gang::Heard>();
    return std::vector<Gang::Heard>{
        {Kind::kOver, "rank 0 ended with exit code 1: invalid usage", false}};
  };
  ASSERT_TRUE(bench_.open().has_value());
  const Measurement refused = measure(with("NCCL_NTHREADS", "64"));
  EXPECT_EQ(refused.outcome, Outcome::kRefused);
  EXPECT_THAT(refused.detail, HasSubstr("invalid usage"));
  EXPECT_EQ(measure({}).outcome, Outcome::kMeasured);

  world_.begin = [](const Setting&) {
    return std::vector<Gang::Heard>{{Kind::kOver, "ssh: no route to host", false}};
  };
  world_.obey = [&](const Setting&, const Order& order) {
    auto said = times(order, 0.001);
    said.push_back({Kind::kOver, "rank 0 ended", false});
    return said;
  };
  EXPECT_EQ(measure({}).outcome, Outcome::kMeasured);  // its last
  const auto found = bench_.measure({}, sizes_, 3);
  ASSERT_FALSE(found.has_value());
  EXPECT_THAT(found.error().message, HasSubstr("no route to host"));
}

TEST_F(GangBenchTest, RanksThatDieUnusedSayNothingOfTheirSetting) {
  ASSERT_TRUE(bench_.open().has_value());
  bool dies = true;
  world_.obey = [&](const Setting&, const Order& order) {
    auto said = times(order, 0.001);
    if (dies) said.push_back({Kind::kOver, "rank 1 ended with signal 9", true});
    dies = false;
    return said;
  };
  EXPECT_EQ(measure({}).outcome, Outcome::kMeasured);  // and dies behind it
  EXPECT_EQ(measure({}).outcome, Outcome::kMeasured);
  EXPECT_EQ(world_.started, 2);
}

TEST_F(GangBenchTest, WordsThatAreNoRepliesEndTheSearch) {
  for (const char* words :
       {"", "{", "[1]", R"({"order":1,"size":0,"seconds":["x"]})",
        R"({"order":1,"size":1,"seconds":[1,1,1]})", R"({"failed":"bored","detail":""})"}) {
    world_.obey = [&](const Setting&, const Order& order) {
      std::string text(words);
      const auto at = text.find("\"order\":1");
      if (at != std::string::npos) text.replace(at, 9, "\"order\":" + std::to_string(order.number));
      return std::vector<Gang::Heard>{{Kind::kReply, text, false}};
    };
    EXPECT_FALSE(bench_.measure(Setting().with("segment", words[0] == '\0' ? "1" : "2"), sizes_, 3)
                     .has_value())
        << words;
  }
}

TEST_F(GangBenchTest, TheDefaultIsGivenASecondChanceUnlessItsBytesAreWrong) {
  int failures = 1;
  Outcome outcome = Outcome::kCrashed;
  world_.obey = [&](const Setting&, const Order& order) {
    return failures-- > 0 ? std::vector<Gang::Heard>{failure(outcome, "killed")}
                          : times(order, 0.001);
  };
  EXPECT_EQ(measure({}).outcome, Outcome::kMeasured);
  failures = 2;
  EXPECT_EQ(measure({}).outcome, Outcome::kCrashed);
  failures = 1;
  EXPECT_EQ(measure(with("algorithm", "ring")).outcome, Outcome::kCrashed);
  failures = 1;
  outcome = Outcome::kCorrupt;
  EXPECT_EQ(measure({}).outcome, Outcome::kCorrupt);
}

// What an order of overlapped sizes is answered with: work where it has none, else times.
std::vector<Gang::Heard> worked(const Order& order, std::uint64_t units, double seconds) {
  std::vector<Gang::Heard> out = times(order, seconds);
  for (std::size_t i = 0; i < order.sizes.size(); ++i) {
    if (!order.choosesWork(i)) continue;
    out[i].text = encode(WorkReply{order.number, i, {units, 0.001, 0.001, 0.002}});
  }
  return out;
}

TEST_F(GangBenchTest, TheWorkBesideASizeIsChosenOnceByTheDefault) {
  std::vector<std::string> orders;
  world_.obey = [&](const Setting& process, const Order& order) {
    std::string line = process.merged(order.choice).text() + ":";
    for (std::size_t i = 0; i < order.sizes.size(); ++i)
      line += " " + std::to_string(order.sizes[i].bytes) + "/" + std::to_string(order.unitsOf(i));
    orders.push_back(line);
    return worked(order, 40 + order.number, 0.002);
  };
  const std::vector<Size> both{{"allreduce", 1024, true}, {"allreduce", 2048, true}};
  const auto measured = [&](const Setting& setting, std::span<const Size> sizes) {
    return bench_.measure(setting, sizes, 2).value();
  };
  EXPECT_EQ(measured(with("segment", "65536"), std::span(both).first(1)).seconds,
            (std::vector<std::vector<double>>{{0.002, 0.002}}));
  measured({}, both);
  measured(with("algorithm", "ring"), both);
  EXPECT_THAT(orders,
              testing::ElementsAre("default: 1024/0", "segment=65536: 1024/41", "default: 2048/0",
                                   "default: 1024/41 2048/43", "algorithm=ring: 1024/41 2048/43"));
  EXPECT_EQ(bench_.work().at(both[1]), (bench::OverlapWork{43, 0.001, 0.001, 0.002}));
  // Sizes that stand alone have none.
  measured({}, sizes_);
  EXPECT_EQ(orders.back(), "default: 1024/0 65536/0");
}

TEST_F(GangBenchTest, WithoutWorkNothingIsMeasuredBesideIt) {
  world_.obey = [&](const Setting&, const Order&) {
    return std::vector<Gang::Heard>{failure(Outcome::kRefused, "no compute here")};
  };
  const std::vector<Size> one{{"allreduce", 1024, true}};
  const auto refused = bench_.measure({}, one, 2);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->outcome, Outcome::kRefused);
  const auto failed = bench_.measure(with("algorithm", "ring"), one, 2);
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().message, HasSubstr("no compute here"));
  // Times where work was asked for are out of order.
  world_.obey = [&](const Setting&, const Order& order) { return times(order, 0.001); };
  EXPECT_FALSE(bench_.measure({}, one, 2).has_value());
}

// The whole search, over ranks whose fast settings are the faulty ones.
TEST_F(GangBenchTest, ASearchTakesTheFastestThatIsSound) {
  std::set<std::string> proposedAfter;
  std::map<std::string, int> failed;
  world_.obey = [&](const Setting& process, const Order& order) {
    const Setting all = process.merged(order.choice);
    const auto key = all.text();
    if (failed[key] > 0) proposedAfter.insert(key);
    if (all.value("segment") == "4194304") {
      ++failed[key];
      return std::vector<Gang::Heard>{failure(Outcome::kCorrupt, "wrong")};
    }
    if (all.value("algorithm") == "direct") {
      ++failed[key];
      return std::vector<Gang::Heard>{};  // hangs
    }
    const double seconds = all.value("segment") == "65536" ? 0.0005 : 0.001;
    return times(order, seconds);
  };
  const auto facts = bench_.open().value();
  SearchOptions options;
  options.budget.trials = 60;
  options.restarts = 0;
  SearchHooks hooks;
  hooks.seconds = [] { return 0.0; };
  const auto objective = Objective::over(ObjectiveKind::kLatency, sizes_).value();
  const auto found = search(facts.space(), objective, bench_, options, hooks);
  ASSERT_TRUE(found.has_value()) << found.error().describe();
  EXPECT_EQ(found->plan.environment, with("segment", "65536"));
  EXPECT_TRUE(found->isBetter());
  EXPECT_THAT(proposedAfter, testing::IsEmpty());
  EXPECT_EQ(found->condemned.size(), 2U);
}

}  // namespace
}  // namespace railhead::tune

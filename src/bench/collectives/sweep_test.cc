#include "src/bench/collectives/sweep.h"

#include "src/bench/collectives/compare.h"
#include "src/bench/collectives/sweep_json.h"
#include "src/collective/host/host_communicator.h"
#include "src/collective/host/host_memory.h"
#include "tests/support/free_port.h"
#include "tests/support/memory_filesystem.h"

#include <future>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

using namespace std::chrono_literals;
using collective::Communicator;
using collective::Operation;
using testing::HasSubstr;

os::Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

// A communicator that hands everything to another, and then spoils one byte of what arrived.
class SpoilingCommunicator final : public Communicator {
 public:
  SpoilingCommunicator(Communicator& real, int fromCall) : real_(real), fromCall_(fromCall) {}
  int rank() const override { return real_.rank(); }
  int ranks() const override { return real_.ranks(); }
  collective::BackendDescription describe() const override { return real_.describe(); }
  collective::Memory& memory() override { return real_.memory(); }
  Result<void> supports(const collective::Call& call) const override {
    return real_.supports(call);
  }
  Result<void> enqueue(const collective::Call& call, const void* send, void* receive) override {
    last_ = static_cast<std::byte*>(receive);
    ++calls_;
    return real_.enqueue(call, send, receive);
  }
  Result<void> wait(collective::Deadline deadline) override {
    auto done = real_.wait(deadline);
    if (calls_ >= fromCall_ && last_ != nullptr) last_[5] ^= std::byte{0x10};
    return done;
  }
  void abort() override { real_.abort(); }

 private:
  Communicator& real_;
  int fromCall_;
  int calls_ = 0;
  std::byte* last_ = nullptr;
};

class SweepTest : public testing::Test {
 protected:
  SweepTest() { files_.put("/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n"); }

  // Two ranks as threads, over Gloo's TCP; what each of them got.
  std::vector<Result<SweepOutcome>> run(const CollectivePlan& plan, int spoilFrom = 0) {
    std::vector<std::future<Result<SweepOutcome>>> running;
    for (int rank = 0; rank < 2; ++rank) {
      running.push_back(std::async(std::launch::async, [&, rank] {
        const collective::World world{rank, 2, rank, "127.0.0.1", port_, "", "node"};
        const auto group = collective::Group::join(world, {"sweep test", in(20s), 20s, {}}).value();
        collective::HostSettings settings;
        settings.rails = {{collective::HostRail::Kind::kTcp, "127.0.0.1", "", 1, 0}};
        const auto real = collective::HostCommunicator::connect(
                              rank, 2, settings,
                              [&](const std::string& own) { return group->gather(own, in(20s)); },
                              std::make_unique<collective::HostMemory>(files_, "/proc/meminfo"))
                              .value();
        SpoilingCommunicator spoiling(*real, spoilFrom);
        const bool spoils = spoilFrom > 0 && rank == 1;
        os::SystemClock clock;
        auto outcome = runSweep(spoils ? static_cast<Communicator&>(spoiling) : *real, *group, plan,
                                clock, {});
        EXPECT_TRUE(group->barrier(in(20s)));
        return outcome;
      }));
    }
    std::vector<Result<SweepOutcome>> out;
    for (auto& one : running) out.push_back(one.get());
    return out;
  }

  static CollectivePlan quick() {
    CollectivePlan plan;
    plan.minBytes = 64;
    plan.maxBytes = 4096;
    plan.factor = 64;
    plan.secondsPerSize = 10;  // enough for ten samples on a busy machine, and seldom needed
    plan.precision = 1;
    return plan;
  }

  testing_support::MemoryFilesystem files_;
  std::uint16_t port_ = testing_support::freePort();
};

TEST_F(SweepTest, MeasuresAndChecksEveryLineOnEveryRank) {
  CollectivePlan plan = quick();
  plan.operations = {Operation::kAllReduce, Operation::kAllToAll};
  const auto outcomes = run(plan);
  ASSERT_TRUE(outcomes[0].has_value()) << outcomes[0].error().describe();
  ASSERT_TRUE(outcomes[1].has_value()) << outcomes[1].error().describe();
  const SweepReport& report = outcomes[0]->report;
  EXPECT_TRUE(report.verified);
  EXPECT_FALSE(outcomes[0]->failure.has_value());
  ASSERT_EQ(report.lines.size(), 6U);  // all_reduce in both places, all_to_all out of place
  for (const auto& line : report.lines) {
    EXPECT_GE(line.samples.size(), 10U);
    EXPECT_EQ(line.bytesChecked, 2 * 2 * line.what.bytes);  // twice, on two ranks
    EXPECT_NEAR(line.algbwGBps, static_cast<double>(line.what.bytes) / line.time.mean / 1e3, 1e-9);
  }
  EXPECT_DOUBLE_EQ(report.lines[0].busbwGBps, report.lines[0].algbwGBps);
  EXPECT_DOUBLE_EQ(report.lines[4].busbwGBps, report.lines[4].algbwGBps / 2);
  EXPECT_EQ(outcomes[1]->report.lines[0].samples, report.lines[0].samples);
}

TEST_F(SweepTest, AWrongByteFailsTheRunOnAllRanks) {
  const auto outcomes = run(quick(), 1);
  for (const auto& outcome : outcomes) {
    ASSERT_TRUE(outcome.has_value()) << outcome.error().describe();
    ASSERT_TRUE(outcome->failure.has_value());
    EXPECT_EQ(outcome->failure->code, ErrorCode::kCheckFailed);
    EXPECT_THAT(outcome->failure->message,
                HasSubstr("all_reduce of 64 bytes: 1 wrong elements, the first at rank 1, byte 4"));
    EXPECT_FALSE(outcome->report.verified);
  }
}

TEST_F(SweepTest, BytesThatGoWrongWhileItIsTimedAreSeenToo) {
  const auto outcomes = run(quick(), 3);
  ASSERT_TRUE(outcomes[0].has_value()) << outcomes[0].error().describe();
  ASSERT_TRUE(outcomes[0]->failure.has_value());
  EXPECT_GE(outcomes[0]->report.lines.back().samples.size(), 10U);
}

TEST_F(SweepTest, RefusesSizesThatWouldFreezeTheNode) {
  CollectivePlan plan = quick();
  plan.maxBytes = 1ULL << 33;
  plan.minBytes = plan.maxBytes;
  const auto outcomes = run(plan);
  for (const auto& outcome : outcomes) {
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(outcome.error().message, HasSubstr("--max-size 8 GiB: 2 ranks here would need 48"));
    EXPECT_THAT(outcome.error().message, HasSubstr("the node lives in it"));
    EXPECT_THAT(outcome.error().remedy, HasSubstr("with --max-size"));
  }
}

TEST_F(SweepTest, IsReadBackFromItsJson) {
  const auto outcomes = run(quick());
  const auto text = toJson(outcomes[0]->report, {"host", "7.2", "x86_64", {}}, "");
  const auto summary = parseSweep(text);
  ASSERT_TRUE(summary.has_value()) << summary.error().describe();
  EXPECT_EQ(summary->ranks, 2);
  ASSERT_EQ(summary->lines.size(), 4U);
  EXPECT_EQ(summary->lines[0].key, "all_reduce float32 64");
  EXPECT_EQ(summary->lines[2].key, "all_reduce float32 64 in place");
  EXPECT_EQ(summary->lines[0].samples.size(), outcomes[0]->report.lines[0].samples.size());
  EXPECT_FALSE(parseSweep(R"({"schema": 1e999})").has_value());
  const auto wrong = parseSweep(R"({"schema": "railhead.bench.verbs/1"})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, HasSubstr("schema"));
}

TEST(CollectivePlan, NamesTheOptionItsValueAndWhatIsAllowed) {
  CollectivePlan plan;
  plan.minBytes = 10;
  plan.maxBytes = 5;
  EXPECT_THAT(plan.check().error().message,
              HasSubstr("--min-size 10 B: expected 1 B to --max-size, 5 B"));
  plan = {};
  plan.factor = 1;
  EXPECT_THAT(plan.check().error().message, HasSubstr("--factor 1"));
  plan = {};
  plan.precision = 0;
  EXPECT_THAT(plan.check().error().message, HasSubstr("--precision"));
}

TEST(SweepCases, ShareOutAmongTheRanksAndNeverRepeat) {
  CollectivePlan plan;
  plan.operations = {Operation::kAllGather, Operation::kSendReceive};
  plan.minBytes = 8;
  plan.maxBytes = 64;
  plan.factor = 2;
  const auto cases = sweepCases(plan, 3);
  for (const auto& each : cases) {
    if (each.call.operation == Operation::kAllGather) {
      EXPECT_EQ(each.call.count % 3, 0U);
    }
    EXPECT_FALSE(each.call.operation == Operation::kSendReceive && each.call.inPlace);
  }
  EXPECT_EQ(std::count_if(cases.begin(), cases.end(),
                          [](const auto& each) {
                            return each.call.operation == Operation::kAllGather &&
                                   !each.call.inPlace;
                          }),
            3);  // 12, 24 and 60 bytes
}

SweepSummary summaryOf(double base, double spread, std::size_t lines = 1) {
  SweepSummary out;
  for (std::size_t i = 0; i < lines; ++i) {
    SweepSummary::Line line{"line " + std::to_string(i), 8, {}};
    for (int k = 0; k < 12; ++k) line.samples.push_back(base + spread * ((k * 7) % 12));
    out.lines.push_back(line);
  }
  return out;
}

TEST(Compare, TellsARealDifferenceFromNoise) {
  const auto same = compareSweeps(summaryOf(100, 0.5), summaryOf(100.2, 0.5), 0.02);
  EXPECT_EQ(same.lines[0].change, Change::kSame);
  const auto slower = compareSweeps(summaryOf(100, 0.5), summaryOf(110, 0.5), 0.02);
  EXPECT_EQ(slower.lines[0].change, Change::kSlower);
  EXPECT_EQ(slower.slower, 1U);
  const auto faster = compareSweeps(summaryOf(110, 0.5), summaryOf(100, 0.5), 0.02);
  EXPECT_EQ(faster.lines[0].change, Change::kFaster);
  const auto noisy = compareSweeps(summaryOf(100, 20), summaryOf(105, 20), 0.02);
  EXPECT_EQ(noisy.lines[0].change, Change::kSame) << "5 % within a spread of 220 %";
  const auto tiny = compareSweeps(summaryOf(100, 0.01), summaryOf(101, 0.01), 0.02);
  EXPECT_EQ(tiny.lines[0].change, Change::kSame) << "significant, and below the threshold";
}

TEST(Compare, FewSamplesDecideNothingAndLostLinesAreNamed) {
  SweepSummary before = summaryOf(100, 1, 2);
  SweepSummary after = summaryOf(200, 1, 1);
  after.lines[0].samples.resize(4);
  after.lines.push_back({"new", 8, {1, 2}});
  const auto comparison = compareSweeps(before, after, 0.02);
  EXPECT_EQ(comparison.lines[0].change, Change::kUndecided);
  EXPECT_THAT(comparison.missing, testing::ElementsAre("new", "line 1"));
}

TEST(MannWhitney, IsThatOfTheTextbooks) {
  // scipy.stats.mannwhitneyu(a, b, method="asymptotic"): two sided, with continuity.
  const std::vector<double> a = {19, 22, 16, 29, 24};
  const std::vector<double> b = {20, 11, 17, 12};
  EXPECT_NEAR(mannWhitney(a, b), 0.11134688653314041, 1e-12);
  EXPECT_DOUBLE_EQ(mannWhitney(a, {}), 1);
  const std::vector<double> ties(10, 3.0);
  EXPECT_DOUBLE_EQ(mannWhitney(ties, ties), 1);
}

TEST(Compare, DoesNotFindAChangeByChanceOnAWholePage) {
  // 200 lines of one distribution: uncorrected, about two would be below 0.01.
  std::uint64_t state = 42;
  const auto next = [&] {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return 100.0 + static_cast<double>(state >> 40) / (1 << 20);
  };
  SweepSummary before;
  SweepSummary after;
  for (int i = 0; i < 200; ++i) {
    SweepSummary::Line line{"line " + std::to_string(i), 8, {}};
    for (int k = 0; k < 20; ++k) line.samples.push_back(next());
    before.lines.push_back(line);
    line.samples.clear();
    for (int k = 0; k < 20; ++k) line.samples.push_back(next());
    after.lines.push_back(line);
  }
  const auto comparison = compareSweeps(before, after, 0);
  EXPECT_EQ(comparison.slower + comparison.faster, 0U);
}

}  // namespace
}  // namespace railhead::bench

#include "src/tune/ledger.h"

#include "tests/support/fake_landscape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing_support::FakeLandscape;

const std::vector<Size> kOneSize{{"allreduce", 65536, false}};
const Space kSpace = FakeLandscape::smallSpace();

TEST(Ledger, WhatFailedCondemnsAllThatHoldsIt) {
  const Setting bad = Setting().with("NCCL_NTHREADS", "64");
  FakeLandscape bench({.faults = {{bad, Outcome::kCorrupt}}});
  Ledger ledger(kSpace, bench, {}, [] { return 0.0; }, {});
  EXPECT_EQ(ledger.measure(1, {}, kOneSize, 2)->seconds.size(), 1U);
  EXPECT_FALSE(ledger.isCondemned(bad));
  EXPECT_EQ(ledger.measure(2, bad, kOneSize, 2)->outcome, Outcome::kCorrupt);
  EXPECT_TRUE(ledger.isCondemned(bad));
  EXPECT_TRUE(ledger.isCondemned(bad.with("protocol", "ll")));
  EXPECT_FALSE(ledger.isCondemned({}));
  EXPECT_FALSE(ledger.isCondemned(bad.with("NCCL_NTHREADS", "128")));
}

TEST(Ledger, AHangOfAChoicePerSizeCondemnsItFromThatSizeOn) {
  const Setting choice = *Setting::parse("algorithm=ring protocol=ll");
  FakeLandscape bench({.faults = {{choice, Outcome::kHung, 4096},
                                  {Setting().with("NCCL_NTHREADS", "256"), Outcome::kHung, 4096},
                                  {Setting().with("protocol", "ll128"), Outcome::kCrashed, 0}}});
  Ledger ledger(kSpace, bench, {}, [] { return 0.0; }, {});
  EXPECT_EQ(ledger.measure(1, choice, kOneSize, 1)->outcome, Outcome::kHung);
  EXPECT_FALSE(ledger.isCondemned(choice));
  EXPECT_FALSE(ledger.isCondemned(choice, {"allreduce", 65535, false}));
  EXPECT_TRUE(ledger.isCondemned(choice, {"allreduce", 65536, false}));
  EXPECT_TRUE(ledger.isCondemned(choice.with("NCCL_NTHREADS", "512"), {"allreduce", ~0ULL, true}));
  EXPECT_FALSE(ledger.isCondemned(choice, {"allgather", 65536, false}));

  const Setting environment = Setting().with("NCCL_NTHREADS", "256");
  EXPECT_EQ(ledger.measure(2, environment, kOneSize, 1)->outcome, Outcome::kHung);
  EXPECT_TRUE(ledger.isCondemned(environment, {"allgather", 1, false}));
  const Setting crash = *Setting::parse("algorithm=ring protocol=ll128");
  EXPECT_EQ(ledger.measure(3, crash, kOneSize, 1)->outcome, Outcome::kCrashed);
  EXPECT_TRUE(ledger.isCondemned(crash, {"allgather", 1, false}));
  EXPECT_EQ(ledger.records(), 3U);
}

TEST(Ledger, RecordsStandInForTheBenchUntilTheCourseDiffers) {
  FakeLandscape bench({});
  std::vector<TrialRecord> records;
  const auto keep = [&](const TrialRecord& record) -> Result<void> {
    records.push_back(record);
    return {};
  };
  Ledger first(
      kSpace, bench, {}, [&] { return bench.elapsedSeconds(); }, keep);
  const Setting other = Setting().with("NCCL_NTHREADS", "256");
  const auto measured = *first.measure(1, {}, kOneSize, 3);
  ASSERT_TRUE(first.measure(1, other, kOneSize, 3).has_value());
  ASSERT_EQ(records.size(), 2U);

  Ledger second(
      kSpace, bench, records, [] { return 100.0; }, keep);
  EXPECT_TRUE(second.isReplaying());
  EXPECT_EQ(*second.measure(1, {}, kOneSize, 3), measured);
  EXPECT_DOUBLE_EQ(second.elapsedSeconds(), records[0].elapsedSeconds);
  EXPECT_EQ(bench.calls(), 2U);
  // Another course: the record passed over is no answer to it.
  ASSERT_TRUE(second.measure(2, {}, kOneSize, 5).has_value());
  EXPECT_FALSE(second.isReplaying());
  EXPECT_EQ(bench.calls(), 3U);
  EXPECT_EQ(records.size(), 3U);
}

TEST(Ledger, AKeeperThatFailsEndsTheSearch) {
  FakeLandscape bench({});
  Ledger ledger(
      kSpace, bench, {}, [] { return 0.0; },
      [](const TrialRecord&) -> Result<void> { return Error(ErrorCode::kIo, "full"); });
  EXPECT_EQ(ledger.measure(1, {}, kOneSize, 1).error().message, "full");
}

// A bench that does not do what it was asked.
class ShortBench final : public Bench {
 public:
  Result<Measurement> measure(const Setting&, std::span<const Size>, int) override {
    return Measurement{Outcome::kMeasured, "", {{1.0}}};
  }
};

TEST(Ledger, ABenchThatLeavesSomethingOutIsFound) {
  ShortBench bench;
  Ledger ledger(kSpace, bench, {}, [] { return 0.0; }, {});
  EXPECT_TRUE(ledger.measure(1, {}, kOneSize, 1).has_value());
  EXPECT_EQ(ledger.measure(1, {}, kOneSize, 2).error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace railhead::tune

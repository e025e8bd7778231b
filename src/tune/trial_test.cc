#include "src/tune/trial.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;

TrialRecord measured() {
  TrialRecord record;
  record.trial = 7;
  record.elapsedSeconds = 1.0 / 3;
  record.setting = *Setting::parse("NCCL_NTHREADS=256 algorithm=ring protocol=ll");
  record.sizes = {{"allreduce", 8, false}, {"allreduce", ~0ULL, true}};
  record.repetitions = 2;
  record.measurement.seconds = {{1e-6, 0.1 + 0.2}, {3, 4}};
  return record;
}

TEST(Trial, RecordsComeBackAsTheyWere) {
  TrialRecord hung = measured();
  hung.measurement = {Outcome::kHung, "rank 1: no answer for 15 s \"\xff\"", {}};
  const std::string text = encode(measured()) + encode(hung);
  const auto back = decodeRecords(text, "r");
  ASSERT_TRUE(back.has_value()) << back.error().describe();
  ASSERT_EQ(back->size(), 2U);
  EXPECT_EQ(back->at(0), measured());
  EXPECT_EQ(back->at(1).measurement.outcome, Outcome::kHung);
  EXPECT_THAT(back->at(1).measurement.detail, HasSubstr("no answer for 15 s"));
}

TEST(Trial, ALineCutShortByAKilledWriterIsLeftOut) {
  const std::string text = encode(measured()) + encode(measured());
  EXPECT_EQ(decodeRecords(text.substr(0, text.size() - 1), "r")->size(), 1U);
  EXPECT_EQ(decodeRecords(text.substr(0, 10), "r")->size(), 0U);
  EXPECT_THAT(decodeRecords("{}\n" + text, "r").error().message, HasSubstr("r:1: field trial"));
}

TEST(Trial, TheLargestRecordFits) {
  TrialRecord largest;
  largest.trial = kMaxRecords;
  largest.elapsedSeconds = -std::numeric_limits<double>::denorm_min() + 1e-300;
  const std::string longest(120, 'v');
  for (int i = 0; i < 30; ++i) largest.setting.set("KNOB_" + std::to_string(i), longest);
  largest.sizes.assign(kMaxSizes, {std::string(kMaxOperation, '\x01'), ~0ULL, false});
  largest.repetitions = kMaxRepetitions;
  largest.measurement.seconds.assign(kMaxSizes,
                                     std::vector<double>(kMaxRepetitions, 2.2250738585072014e-308));
  const std::string text = encode(largest);
  EXPECT_GT(text.size(), 5U << 20);
  EXPECT_LE(text.size(), kMaxRecordBytes);
  const auto back = decodeRecord(text);
  ASSERT_TRUE(back.has_value()) << back.error().describe();
  EXPECT_EQ(*back, largest);
  TrialRecord told;
  told.trial = 1;
  told.repetitions = 1;
  told.measurement = {Outcome::kCrashed, std::string(4 * kMaxDetail, '\xff'), {}};
  EXPECT_EQ(decodeRecord(encode(told))->measurement.outcome, Outcome::kCrashed)
      << "a detail is as long in the record as it may be, whatever it is made of";
}

TEST(Trial, OtherRecordsAreRefused) {
  const auto spoiled = [](const std::string& from, const std::string& to) {
    std::string line = encode(measured());
    line.replace(line.find(from), from.size(), to);
    const auto record = decodeRecord(line);
    return record.has_value() ? std::string("taken") : record.error().message;
  };
  EXPECT_THAT(spoiled("\"measured\"", "\"fine\""), HasSubstr("field outcome"));
  EXPECT_THAT(spoiled("\"measured\"", "\"hung\""), HasSubstr("hung has times"));
  EXPECT_THAT(spoiled("\"repetitions\":2", "\"repetitions\":3"), HasSubstr("2 repetitions of 3"));
  EXPECT_THAT(spoiled("\"repetitions\":2", "\"repetitions\":-2"), HasSubstr("field repetitions"));
  EXPECT_THAT(spoiled("[3.0,4.0]", "[3.0,-4.0]"), HasSubstr("seconds"));
  EXPECT_THAT(spoiled("[3.0,4.0]", "[3.0,\"4\"]"), HasSubstr("field seconds"));
  EXPECT_THAT(spoiled("algorithm=ring", "algorithm ring"), HasSubstr("setting"));
  EXPECT_THAT(spoiled("\"trial\":7", "\"trial\":0"), HasSubstr("field trial"));
  EXPECT_THAT(decodeRecord("[1]").error().message, HasSubstr("not a JSON object"));
  EXPECT_THAT(decodeRecord(std::string(100'000, '[')).error().message, HasSubstr("not a JSON"));
}

}  // namespace
}  // namespace railhead::tune

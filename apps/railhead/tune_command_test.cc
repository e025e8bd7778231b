#include "apps/railhead/command_line.h"
#include "apps/railhead/tune_output.h"
#include "apps/railhead/tune_records.h"
#include "apps/railhead/tune_sizes.h"
#include "tests/support/documented_fields.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Ran {
  int code = 0;
  std::string out, err;
};
Ran ran(std::vector<std::string> words) {
  std::ostringstream out;
  std::ostringstream err;
  Context context{out, err, false, "/nowhere/railhead"};
  words.insert(words.begin(), "railhead");
  const auto code = runCommandLine(words, context);
  return {static_cast<int>(code), out.str(), err.str()};
}

TEST(TuneSizes, AHistogramWeighsEachSizeByItsCalls) {
  const auto sizes = parseHistogram(
      "# of one step\nall_reduce 1048576 40\n\nall_gather 7 2  # rounded\nall_reduce 1048576 8\n",
      "h", 2);
  ASSERT_FALSE(sizes.has_value());
  EXPECT_THAT(sizes.error().message, HasSubstr("h:4"));
  const auto good =
      parseHistogram("all_reduce 1048576 40\nall_gather 9 2\nall_reduce 1048576 8\n", "h", 2)
          .value();
  ASSERT_EQ(good.size(), 2U);
  EXPECT_EQ(good[0].size, (tune::Size{"allreduce", 1048576, false}));
  EXPECT_EQ(good[0].weight, 48);
  EXPECT_EQ(good[1].size.bytes, 8U);
}

TEST(TuneSizes, LinesThatAreNoneAreNamed) {
  for (const char* line : {"all_reduce 8", "all_reduce 8 1 1", "allreduce 8 1", "all_reduce x 1",
                           "all_reduce 8 -1", "all_reduce 8 nan", "all_reduce 0 1"}) {
    const auto parsed = parseHistogram(std::string("all_reduce 8 1\n") + line, "h", 2);
    ASSERT_FALSE(parsed.has_value()) << line;
    EXPECT_THAT(parsed.error().message, HasSubstr("h:2")) << line;
  }
}

TEST(TuneSizes, RanksShareEachSizeOnce) {
  TuneSizes sizes;
  sizes.operations = {"all_reduce", "all_gather"};
  sizes.minBytes = 8;
  sizes.maxBytes = 16;
  sizes.factor = 2;
  const auto objective = objectiveOf("latency", sizes, 2).value();
  ASSERT_EQ(objective.sizes().size(), 4U);
  EXPECT_EQ(objective.sizes()[0].operation, "allgather");
  EXPECT_FALSE(objectiveOf("bandwidth", sizes, 2).has_value());  // none is large enough
  const auto overlapped = objectiveOf("overlapped", sizes, 2).value();
  ASSERT_EQ(overlapped.sizes().size(), 4U);
  for (const auto& size : overlapped.sizes()) EXPECT_TRUE(size.overlapped);
  sizes.minBytes = sizes.maxBytes = 1;
  EXPECT_EQ(objectiveOf("latency", sizes, 2).error().message,
            "--min-size 1 B to --max-size 1 B: none of these sizes can be shared by 2 ranks");
}

TEST(TuneCommand, WhatCannotBeIsExitTwoAndSaysWhy) {
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  const Case cases[] = {
      {{"tune"}, "no --on"},
      {{"tune", "--on", "local:2", "--objective", "histogram"}, "histogram=FILE"},
      {{"tune", "--on", "local:2", "--objective", "speed"}, "bandwidth, latency"},
      {{"tune", "--on", "kubernetes"}, "no --image"},
      {{"tune", "--on", "local:2", "--dry-run"}, "only --on kubernetes"},
      {{"tune", "--on", "cloud"}, "none of the places"},
      {{"tune", "--on", "local:2", "--trials", "1"}, "--trials"},
      {{"tune", "--on", "local:2", "--repetitions", "101"}, "--repetitions"},
      {{"tune", "export", "x", "--format", "ini"}, "--format"},
      {{"tune", "apply", "--to", "/nowhere"}, "no profile is named"},
  };
  for (const auto& one : cases) {
    const auto end = ran(one.words);
    EXPECT_EQ(end.code, 2) << one.says << end.err;
    EXPECT_THAT(end.err, HasSubstr(one.says));
  }
}

TEST(TuneCommand, EveryPartHasAnExample) {
  for (const char* part : {"", "show", "diff", "export", "apply"}) {
    std::vector<std::string> words{"tune"};
    if (*part != '\0') words.emplace_back(part);
    words.emplace_back("--help");
    const auto end = ran(words);
    EXPECT_EQ(end.code, 0);
    EXPECT_THAT(end.out, HasSubstr(std::string("railhead tune ") + part));
    EXPECT_THAT(end.out, HasSubstr("Example"));
  }
}

TEST(TuneRecords, AFileThatHoldsAnotherSearchIsNotOverwritten) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("railhead-records-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const auto path = (folder / "records").string();
  const tune::RecordsHeader own{std::string(64, 'a'), "latency " + std::string(64, 'b'), 1,
                                "these"};
  tune::TrialRecord record;
  record.trial = 1;
  record.sizes = {{"allreduce", 8, false}};
  record.repetitions = 1;
  record.measurement.seconds = {{0.5}};
  {
    auto file = RecordsFile::open(path, "", own, {}).value();
    ASSERT_TRUE(file.add(record).has_value());
  }
  std::ofstream(path, std::ios::app) << R"({"trial":2,"cut)";  // as kill -9 leaves it
  const auto before = readRecords(path, own).value();
  EXPECT_THAT(before, ElementsAre(record));
  EXPECT_EQ(RecordsFile::open(path, "", own, {}).error().code, ErrorCode::kAlreadyExists);
  {
    auto again = RecordsFile::open(path, path, own, before).value();
    ASSERT_TRUE(again.add(record).has_value());
  }
  EXPECT_THAT(readRecords(path, own).value(), ElementsAre(record, record));
  tune::RecordsHeader elsewhere = own;
  elsewhere.fabric = "other nodes";
  EXPECT_EQ(readRecords(path, elsewhere).error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove_all(folder);
}

// Everything that a result may hold.
TuneReport fullReport() {
  const std::vector<tune::Size> sizes{{"allreduce", 1 << 20, true}};
  TuneReport report{
      {},           tune::Objective::over(tune::ObjectiveKind::kOverlapped, sizes).value(),
      {},           7,
      std::nullopt, "profile.yaml",
      "records",    {{sizes.front(), {40, 0.0010, 0.0012, 0.0018}}}};
  report.facts.backend = "nccl";
  auto& fabric = report.facts.fabric;
  fabric = {{"NVIDIA GB10"}, {"15b3:1021"}, {"200 Gb/s"}, 9000, 2, 2, tune::NcclVersions{}};
  const tune::Gain gain{8, 0.2, 0.1, 0.3};
  auto& result = report.result;
  result.plan.environment.set("NCCL_NTHREADS", "256");
  result.plan.choices = {tune::Setting().with("algorithm", "ring").with("protocol", "simple")};
  result.validated = true;
  result.gain = gain;
  result.sizes = {{gain, 0.002, 0.001}};
  result.condemned = {
      {tune::Setting().with("NCCL_BUFFSIZE", "1048576"), tune::Outcome::kHung, "x"}};
  result.effects = {{"NCCL_NTHREADS", tune::Setting().with("NCCL_NTHREADS", "64"), gain}};
  report.profile = tune::makeProfile(fabric, report.objective, result, 7).value();
  return report;
}

TEST(TuneOutput, TheDocumentNamesEveryFieldAndNoOther) {
  const auto text = testing_support::readText("docs/reference/tune.md");
  const auto report = fullReport();
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of tune"),
            testing_support::fieldsOf(nlohmann::json::parse(toJson(report))));
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of tune show"),
            testing_support::fieldsOf(nlohmann::json::parse(profileJson(*report.profile))));
}

TEST(TuneOutput, TheTableSaysWhatWasProvenAndWhatWasNot) {
  auto report = fullReport();
  std::ostringstream proven;
  printTune(proven, report);
  EXPECT_THAT(proven.str(), HasSubstr("+22.1 % (+10.5 to +35.0)"));
  EXPECT_THAT(proven.str(), HasSubstr("in a fresh run"));
  EXPECT_THAT(proven.str(), HasSubstr("never again: NCCL_BUFFSIZE=1048576: hung: x"));
  // 2 ms of the default's pair, 1 ms of the tuned one, of 1 ms and 1.2 ms alone.
  EXPECT_THAT(proven.str(), HasSubstr("beside compute"));
  EXPECT_THAT(proven.str(), HasSubstr("20 %"));
  EXPECT_THAT(proven.str(), HasSubstr("120 %"));
  report.result.validated = false;
  std::ostringstream estimate;
  printTune(estimate, report);
  EXPECT_THAT(estimate.str(), HasSubstr("not validated by a fresh run"));
  // The default, which was all that a budget was enough for: no proof, and none is claimed.
  report.result.plan = {{}, {tune::Setting()}};
  report.result.end = tune::SearchEnd::kBudget;
  std::ostringstream stays;
  printTune(stays, report);
  EXPECT_THAT(stays.str(), HasSubstr("in that budget nothing beats the default, so nothing was "
                                     "left for a fresh run"));
  EXPECT_EQ(nlohmann::json::parse(toJson(report))["validated"], false);
  report.result.freshRunFailed = true;
  std::ostringstream failed;
  printTune(failed, report);
  EXPECT_THAT(failed.str(), HasSubstr("in that budget nothing beats the default: what seemed to "
                                      "failed in the fresh run\n"));
}

TEST(TuneOutput, ProgressNamesStageBestAndTimeLeft) {
  tune::Progress progress;
  progress.stage = tune::Stage::kScreening;
  progress.trials = 12;
  EXPECT_THAT(tuneProgressLine(progress),
              HasSubstr("screening: 12 trials, best so far the default"));
  progress.gain = {8, 0.2, 0.1, 0.3};
  progress.secondsLeft = 90;
  EXPECT_THAT(tuneProgressLine(progress), HasSubstr("+22.1 % (+10.5 to +35.0), "));
  EXPECT_THAT(tuneProgressLine(progress), HasSubstr("left"));
}

}  // namespace
}  // namespace railhead::app

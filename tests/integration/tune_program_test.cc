// `railhead tune` as a user starts it: ranks on this machine, by the host backend, with budgets
// that are enough to see the whole course and too small to find much.
#include "src/os/bound_process.h"
#include "src/os/process.h"
#include "src/tune/profile.h"
#include "src/tune/trial.h"
#include "tests/support/documented_fields.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using namespace std::chrono_literals;

class TuneProgram : public testing::Test {
 protected:
  TuneProgram()
      : folder_(std::filesystem::temp_directory_path() /
                ("railhead-tune-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~TuneProgram() override { std::filesystem::remove_all(folder_); }

  std::string at(const char* name) const { return (folder_ / name).string(); }
  static std::vector<std::string> search(const std::vector<std::string>& more) {
    std::vector<std::string> words = {RAILHEAD_PROGRAM,
                                      "tune",
                                      "--on",
                                      "local:2",
                                      "--backend",
                                      "host",
                                      "--transport",
                                      "tcp",
                                      "--json",
                                      "--min-size",
                                      "16KiB",
                                      "--max-size",
                                      "16KiB",
                                      "--objective",
                                      "latency",
                                      "--repetitions",
                                      "1",
                                      "--restarts",
                                      "0",
                                      "--seed",
                                      "3"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static os::ProcessResult run(const std::vector<std::string>& argv) {
    os::ProcessSpec spec;
    spec.argv = argv;
    spec.deadline = 90s;
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }
  // Whether the search finds what needs a fresh run is for the clock to say; where it did, there
  // was one: only it gives times, and what is not the default stays by it alone.
  static bool neededAFreshRun(const json& found) {
    const json& sizes = found["sizes"];
    return found["better"].get<bool>() || !found["environment"].empty() ||
           !found["table"].empty() || std::any_of(sizes.begin(), sizes.end(), [](const json& one) {
             return one["default_seconds"].get<double>() > 0;
           });
  }
  static os::ProcessResult tune(std::vector<std::string> words) {
    words.insert(words.begin(), {RAILHEAD_PROGRAM, "tune"});
    return run(words);
  }
  std::vector<tune::TrialRecord> records(const char* name) const {
    const std::string text = testing_support::readText(at(name));
    const auto header = text.find('\n');
    if (header == std::string::npos) return {};
    const auto read = tune::decodeRecords(text.substr(header + 1), name, 2);
    return read.has_value() ? *read : std::vector<tune::TrialRecord>();
  }

  std::filesystem::path folder_;
};

TEST_F(TuneProgram, EndsWithAValidatedProfileAndRecordsThatItCanGoOnFrom) {
  const auto first = run(search({"--trials", "12", "--records", at("r"), "--out", at("p.yaml")}));
  ASSERT_EQ(first.exitCode, 0) << first.errorOutput;
  const json found = json::parse(first.output);
  EXPECT_EQ(found["end"], "budget");
  EXPECT_TRUE(found["validated"].get<bool>() || !neededAFreshRun(found)) << first.output;
  EXPECT_EQ(found["backend"], "host");
  EXPECT_EQ(found["fabric"]["ranks"], 2);
  EXPECT_LE(found["trials"], 12);
  const auto yaml = testing_support::readText(at("p.yaml"));
  const auto profile = tune::parseProfile(yaml, "p.yaml");
  ASSERT_TRUE(profile.has_value()) << profile.error().describe();
  EXPECT_EQ(tune::profileHash(*profile), found["hash"]);
  EXPECT_EQ(profile->sizes.size(), 1U);
  const auto kept = records("r");
  ASSERT_GT(kept.size(), 20U);
  for (const auto& record : kept) {
    EXPECT_EQ(record.measurement.outcome, tune::Outcome::kMeasured) << tune::encode(record);
  }

  // All of it was measured already: the same course, to the same end.
  const auto again = run(search({"--trials", "12", "--resume", at("r")}));
  ASSERT_EQ(again.exitCode, 0) << again.errorOutput;
  const json same = json::parse(again.output);
  for (const char* field : {"trials", "sizes", "effects", "environment", "gain", "end"})
    EXPECT_EQ(same[field], found[field]) << field;
  EXPECT_EQ(records("r"), kept);

  const auto other =
      run(search({"--trials", "12", "--resume", at("r"), "--operations", "all_gather"}));
  EXPECT_EQ(other.exitCode, 2);
  EXPECT_THAT(other.errorOutput, HasSubstr("the records are of another search: objective is"));

  const auto shown = tune({"show", at("p.yaml"), "--on", "local:2", "--backend", "host",
                           "--transport", "tcp", "--json"});
  EXPECT_EQ(shown.exitCode, 0) << shown.errorOutput;
  tune::Profile foreign = *profile;
  foreign.fabric.mtu += 1;
  std::ofstream(at("q.yaml")) << tune::writeProfile(foreign).value();
  const auto refused = tune({"apply", at("q.yaml"), "--to", at("applied"), "--on", "local:2",
                             "--backend", "host", "--transport", "tcp"});
  EXPECT_EQ(refused.exitCode, 3);
  EXPECT_THAT(refused.errorOutput, HasSubstr("mtu is"));
  EXPECT_FALSE(std::filesystem::exists(at("applied")));
  const auto differs = tune({"diff", at("p.yaml"), at("q.yaml")});
  EXPECT_THAT(differs.output, HasSubstr("fabric mtu: "));
}

// 0.6 s: the first two pairs of measurements of ten samples, of which none is shorter than 4 ms,
// take so long that what a fresh run would take is more than is left, and two accept nothing.
TEST_F(TuneProgram, ABudgetThatReachesNoFreshRunIsNotCalledValidated) {
  auto words = search({"--minutes", "0.01", "--knob", "segment", "--out", at("p.yaml")});
  *(std::find(words.begin(), words.end(), "--repetitions") + 1) = "10";
  const auto done = run(words);
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  const json found = json::parse(done.output);
  EXPECT_EQ(found["end"], "budget");
  EXPECT_EQ(found["validated"], false) << done.output;
  EXPECT_EQ(found["better"], false);
  EXPECT_FALSE(neededAFreshRun(found)) << done.output;
  EXPECT_TRUE(found["hash"].is_string());  // the default, which needs no proof
  words.erase(std::find(words.begin(), words.end(), "--json"));
  EXPECT_THAT(run(words).output, HasSubstr("in that budget nothing beats the default, so nothing "
                                           "was left for a fresh run"));
}

TEST_F(TuneProgram, ASizeOfAHistogramThatWouldNotFitIsBadInputAndNamesTheFile) {
  std::ofstream(at("sizes")) << "all_reduce 1099511627776 1\n";
  auto words = search({});
  *std::find(words.begin(), words.end(), "latency") = "histogram=" + at("sizes");
  const auto refused = run(words);
  EXPECT_EQ(refused.exitCode, 2) << refused.errorOutput;
  EXPECT_THAT(refused.errorOutput, HasSubstr("--objective histogram=" + at("sizes") + " 1 TiB: "));
  EXPECT_THAT(refused.errorOutput, HasSubstr("give at most "));
  EXPECT_THAT(refused.errorOutput, testing::Not(HasSubstr("--max-size")));
}

TEST_F(TuneProgram, BesideComputeEverySizeIsAPair) {
  auto words = search({"--trials", "8", "--records", at("r"), "--out", at("p.yaml")});
  *std::find(words.begin(), words.end(), "latency") = "overlapped";
  const auto done = run(words);
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  const json found = json::parse(done.output);
  EXPECT_EQ(found["objective"], "overlapped");
  EXPECT_EQ(found["end"], "budget");
  EXPECT_TRUE(found["validated"].get<bool>() || !neededAFreshRun(found)) << done.output;
  ASSERT_EQ(found["overlap"].size(), 1U);
  const json& beside = found["overlap"][0];
  EXPECT_EQ(beside["bytes"], 16384);
  EXPECT_GT(beside["call_seconds"].get<double>(), 0);
  EXPECT_GT(beside["compute_seconds"].get<double>(), 0);
  EXPECT_GT(beside["pair_seconds"].get<double>(), 0);
  EXPECT_TRUE(beside["default_hidden"].is_number());
  const auto profile = tune::parseProfile(testing_support::readText(at("p.yaml")), "p.yaml");
  ASSERT_TRUE(profile.has_value()) << profile.error().describe();
  EXPECT_TRUE(profile->sizes.at(0).size.overlapped);
  const auto kept = records("r");
  ASSERT_FALSE(kept.empty());
  for (const auto& record : kept) EXPECT_TRUE(record.sizes.at(0).overlapped);
}

TEST_F(TuneProgram, CtrlCKeepsTheBestSoFarAndSaysItIsNotValidated) {
  const auto out = at("out");
  const auto err = at("err");
  const os::UniqueFd outFile(::open(out.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const os::UniqueFd errFile(::open(err.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  os::BoundProcessSpec spec;
  spec.argv = search({"--records", at("r"), "--out", at("p.yaml")});
  spec.output = outFile.get();
  spec.errors = errFile.get();
  auto process = os::BoundProcess::start(spec, "/dev/null").value();
  const auto limit = std::chrono::steady_clock::now() + 60s;
  while (records("r").size() < 6 && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(20ms);
  process.signal(SIGINT);
  while (!process.ended() && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(20ms);
  EXPECT_EQ(process.exitCode(), 130);
  EXPECT_THAT(testing_support::readText(err), HasSubstr("not validated"));
  EXPECT_THAT(testing_support::readText(err), HasSubstr("--resume " + at("r")));
  const json found = json::parse(testing_support::readText(out), nullptr, false);
  ASSERT_TRUE(found.is_object());
  EXPECT_EQ(found["validated"], false);
  EXPECT_EQ(found["end"], "interrupted");
  EXPECT_FALSE(std::filesystem::exists(at("p.yaml")));
  EXPECT_GE(records("r").size(), 6U);
}

TEST_F(TuneProgram, AGridHasEverySettingOfTheNamedKnobs) {
  const std::vector<std::string> grid = {
      "grid", "--on",       "local:2",    "--backend",  "host",      "--transport",
      "tcp",  "--out",      at("g.json"), "--knob",     "algorithm", "--repetitions",
      "2",    "--min-size", "16KiB",      "--max-size", "16KiB"};
  const auto done = tune(grid);
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  EXPECT_THAT(done.output, HasSubstr("3 settings measured, 0 of them failed\n  allreduce 16384"));
  const json kept = json::parse(testing_support::readText(at("g.json")));
  ASSERT_EQ(kept["settings"].size(), 3U);
  EXPECT_EQ(kept["settings"][0]["setting"], "default");
  EXPECT_EQ(kept["settings"][2]["setting"], "algorithm=direct");
  EXPECT_EQ(kept["settings"][1]["seconds"][0].size(), 2U);
  auto beside = grid;
  beside.emplace_back("--overlapped");
  beside[8] = at("o.json");
  ASSERT_EQ(tune(beside).exitCode, 0);
  const json pairs = json::parse(testing_support::readText(at("o.json")));
  EXPECT_EQ(pairs["sizes"][0]["overlapped"], true);
  EXPECT_FALSE(kept["sizes"][0].contains("overlapped"));
  auto unknown = grid;
  unknown[10] = "colour";
  const auto refused = tune(unknown);
  EXPECT_EQ(refused.exitCode, 2);
  EXPECT_THAT(refused.errorOutput, HasSubstr("--knob: there is no knob 'colour' here; allowed"));
}

TEST_F(TuneProgram, RanksThatCannotStartAreAnErrorAndNoSetting) {
  const auto none = run(search({"--rail", "no-such-address"}));
  EXPECT_NE(none.exitCode, 0);
  EXPECT_THAT(none.errorOutput, HasSubstr("the ranks do not start"));
}

}  // namespace
}  // namespace railhead

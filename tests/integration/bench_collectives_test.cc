// The program as a user starts it: ranks on this machine, by the host backend.
#include "src/bench/collectives/compare.h"
#include "src/bench/collectives/sweep_json.h"
#include "src/launch/gang.h"
#include "src/os/process.h"
#include "tests/support/documented_fields.h"
#include "tests/support/free_port.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace railhead {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

std::string freePort() { return std::to_string(testing_support::freePort()); }

class BenchCollectives : public testing::Test {
 protected:
  BenchCollectives() {
    folder_ =
        std::filesystem::temp_directory_path() / ("railhead-bench-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~BenchCollectives() override { std::filesystem::remove_all(folder_); }

  static os::ProcessResult run(std::vector<std::string> words,
                               std::map<std::string, std::string> environment = {}) {
    words.insert(words.begin(), {RAILHEAD_PROGRAM, "bench"});
    os::ProcessSpec spec;
    spec.argv = std::move(words);
    if (!environment.empty()) {
      environment["PATH"] = "/usr/bin:/bin";
      spec.environment = std::move(environment);
    }
    spec.deadline = 90s;
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }
  static std::vector<std::string> quick(std::vector<std::string> more) {
    const auto given = [&](const char* option) {
      return std::find(more.begin(), more.end(), option) != more.end();
    };
    std::vector<std::string> words = {"collectives", "--backend", "host", "--transport", "tcp"};
    const std::pair<const char*, const char*> defaults[] = {{"--min-size", "1024"},
                                                            {"--max-size", "4096"},
                                                            {"--precision", "1"},
                                                            {"--seconds-per-size", "2"}};
    for (const auto& [option, value] : defaults) {
      if (!given(option)) words.insert(words.end(), {option, value});
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  std::filesystem::path folder_;
};

TEST_F(BenchCollectives, TwoRanksHereGiveATableAndAResultThatCompares) {
  const auto before = (folder_ / "before.json").string();
  const auto table = run(quick({"--on", "local:2", "--operation", "all", "--out", before}));
  ASSERT_EQ(table.exitCode, 0) << table.errorOutput;
  EXPECT_THAT(table.output, HasSubstr("all_to_all"));
  EXPECT_THAT(table.output, HasSubstr("2 ranks, backend host gloo"));
  EXPECT_THAT(table.output, HasSubstr("every byte of every line verified"));
  EXPECT_EQ(table.errorOutput, "");
  const auto same = run({"compare", before, before});
  EXPECT_EQ(same.exitCode, 0) << same.errorOutput;
  EXPECT_THAT(same.output, HasSubstr("0 slower, 0 faster"));

  auto slower = nlohmann::json::parse(testing_support::readText(before));
  for (auto& sample : slower["lines"][0]["samples_us"]) sample = sample.get<double>() * 1000;
  const auto after = (folder_ / "after.json").string();
  std::ofstream(after) << slower.dump();
  const auto changed = run({"compare", before, after});
  EXPECT_EQ(changed.exitCode, 3);
  EXPECT_THAT(changed.output, HasSubstr("1 slower"));
  EXPECT_THAT(changed.errorOutput, HasSubstr("lines are slower than before"));
}

TEST_F(BenchCollectives, TheDocumentNamesEveryFieldAndNoOther) {
  const auto text =
      testing_support::readText(RAILHEAD_SOURCE "/docs/reference/bench-collectives.md");
  const auto result = run(quick({"--on", "local:2", "--json"}));
  ASSERT_EQ(result.exitCode, 0) << result.errorOutput;
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of collectives"),
            testing_support::fieldsOf(nlohmann::json::parse(result.output)));
  bench::Comparison comparison;
  comparison.lines.push_back({});
  EXPECT_EQ(testing_support::documentedFields(text, "JSON of compare"),
            testing_support::fieldsOf(nlohmann::json::parse(bench::toJson(comparison))));
}

TEST_F(BenchCollectives, WrongWordsAreExitTwoAndNameWhatIsAllowed) {
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  const std::string fixtures = RAILHEAD_SOURCE "/tests/fixtures/report/measurements/";
  const std::string whole = fixtures + "sweep_before.json";
  const std::string cut = (folder_ / "cut.json").string();
  std::ofstream(cut) << testing_support::readText(whole).substr(0, 500);
  const Case cases[] = {
      {{"collectives"}, "neither --on nor RANK"},
      {{"collectives", "--on", "cloud"}, "none of the places"},
      {{"collectives", "--on", "local:2", "--operation", "allreduce"},
       "--operation: operation 'allreduce': expected one of all_reduce"},
      {{"collectives", "--on", "local:2", "--type", "half"}, "float16"},
      {{"collectives", "--on", "local:2", "--min-size", "8KiB", "--max-size", "4KiB"},
       "--min-size 8192 B: expected 1 B to --max-size, 4096 B"},
      {{"collectives", "--on", "local:2", "--backend", "mpi"}, "--backend"},
      {{"compare", RAILHEAD_SOURCE "/README.md", RAILHEAD_SOURCE "/README.md"}, "README.md"},
      {{"compare", whole, cut}, "cut.json: it is cut off: its JSON does not end, after 500 bytes"},
      {{"compare", fixtures + "tune.json", whole},
       "tune.json: field schema is '\"railhead.tune/1\"': expected railhead.bench.collectives/1\n"
       "  remedy: give files written by railhead bench collectives --out FILE"},
  };
  for (const Case& wrong : cases) {
    const auto result = run(wrong.words);
    EXPECT_EQ(result.exitCode, 2) << wrong.says;
    EXPECT_THAT(result.errorOutput, HasSubstr(wrong.says));
    EXPECT_EQ(result.output, "");
  }
}

TEST_F(BenchCollectives, ARankThatNobodyJoinsSaysWhoIsMissing) {
  const auto port = freePort();
  const auto result = run(
      quick({"--timeout", "0.3"}),
      {{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", port}});
  EXPECT_EQ(result.exitCode, 4) << result.errorOutput;
  EXPECT_THAT(result.errorOutput, HasSubstr("rank 0 at 127.0.0.1:" + port));
}

TEST_F(BenchCollectives, ADiskThatCannotTakeTheResultIsSaid) {
  const auto result = run(quick({"--on", "local:2", "--out", "/proc/no/such.json"}));
  EXPECT_NE(result.exitCode, 0);
  EXPECT_THAT(result.errorOutput, HasSubstr("--out"));
}

// Kills rank `victim` when it has begun, and holds the gang to its promise.
TEST_F(BenchCollectives, AKilledRankEndsTheGangWithItsName) {
  for (const int victim : {0, 1}) {
    const std::string port = freePort();
    std::vector<launch::RankCommand> ranks;
    for (int rank = 0; rank < 2; ++rank) {
      std::string command;
      for (const auto& word :
           quick({"--max-size", "1MiB", "--precision", "0.001", "--seconds-per-size", "60"})) {
        command += " '" + word + "'";
      }
      std::string script = std::string("exec ") + RAILHEAD_PROGRAM + " bench" + command;
      if (rank == victim) {
        script = std::string(RAILHEAD_PROGRAM) + " bench" + command +
                 " & p=$!; sleep 1; kill -9 $p; wait $p";
      }
      ranks.push_back({rank,
                       "n" + std::to_string(rank),
                       {"sh", "-c", script},
                       {{"RANK", std::to_string(rank)},
                        {"WORLD_SIZE", "2"},
                        {"MASTER_ADDR", "127.0.0.1"},
                        {"MASTER_PORT", port},
                        {"RAILHEAD_NODE", "n" + std::to_string(rank)}}});
    }
    launch::GangSettings settings;
    settings.timeLimit = 60s;
    const auto end = launch::runGang(ranks, settings, "/dev/null");
    ASSERT_TRUE(end.has_value());
    EXPECT_FALSE(end->ok());
    EXPECT_FALSE(end->outOfTime);
    const auto& survivor = end->ranks[static_cast<std::size_t>(1 - victim)];
    std::string lines;
    for (const auto& line : survivor.lastLines) lines += line + "\n";
    EXPECT_TRUE(end->failed == victim || lines.find("is gone") != std::string::npos) << lines;
  }
}

}  // namespace
}  // namespace railhead

#include "apps/railhead/report_command.h"

#include "src/os/filesystem.h"
#include "src/train/run_folder.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string fixture(const std::string& name) { return "tests/fixtures/report/" + name; }

class ReportCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "report-command-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  ExitCode run(std::vector<std::string> words) {
    words.insert(words.begin(), {"railhead", "report"});
    out_.str("");
    err_.str("");
    Context context{out_, err_, false, "railhead"};
    return runCommandLine(words, context);
  }
  // The folder of a run that told three steps.
  std::string runFolder(const std::string& id, const std::string& replayOf = "") const {
    const train::RunFolder run(folder_ + "/runs/" + id);
    const auto files = os::RootedFilesystem::open("/");
    EXPECT_TRUE(run.create(**files, "").has_value());
    train::Manifest manifest;
    manifest.id = id;
    manifest.state = "finished";
    manifest.replayOf = replayOf;
    manifest.attempts = {{1, std::nullopt, "t", 1.5, "finished", "", std::nullopt, "", {}}};
    EXPECT_TRUE(run.writeManifest(**files, manifest).has_value());
    for (const char* step : {"1", "2", "3"}) {
      const std::string line = std::string(R"({"schema":"railhead.metrics/1","step":)") + step +
                               R"(,"loss":4.5,"tokens":10,"seconds":0.5})" + "\n";
      EXPECT_TRUE(train::appendText(run.metricsFile(0), line).has_value());
    }
    return run.path();
  }
  std::string page() const { return folder_ + "/report.html"; }
  std::string written() const {
    std::ifstream file(page());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string folder_;
  std::ostringstream out_, err_;
};

TEST_F(ReportCommand, PutsEveryKindOnOnePage) {
  ASSERT_EQ(run({fixture("measurements/verify_spark.json"), fixture("measurements/doctor.json"),
                 fixture("measurements/sweep_before.json"), fixture("measurements/verbs.json"),
                 "--out", page()}),
            ExitCode::kOk)
      << err_.str();
  EXPECT_THAT(out_.str(), StartsWith("RDMA is broken here: "));
  EXPECT_THAT(out_.str(), HasSubstr("report: " + page()));
  EXPECT_THAT(written(), StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(written(), HasSubstr("RDMA is broken here"));
}

TEST_F(ReportCommand, ComparesTwoSweepsTheFirstAsTheOneBefore) {
  const std::string before = fixture("measurements/sweep_before.json");
  const std::string after = fixture("measurements/sweep_after.json");
  ASSERT_EQ(run({before, after, "--json", "--out", page()}), ExitCode::kOk) << err_.str();
  auto data = nlohmann::json::parse(out_.str());
  EXPECT_EQ(data["comparison"]["slower"], 0);
  EXPECT_EQ(data["comparison"]["faster"], 18);
  EXPECT_EQ(data["statements"][0]["headline"], "Faster than before");

  ASSERT_EQ(run({after, before, "--json", "--out", page()}), ExitCode::kOk) << err_.str();
  data = nlohmann::json::parse(out_.str());
  EXPECT_EQ(data["statements"][0]["headline"], "Slower than before");
  EXPECT_EQ(data["statements"][0]["tone"], "bad");
}

TEST_F(ReportCommand, TakesTheCeilingFromItsOption) {
  ASSERT_EQ(run({fixture("measurements/sweep_before.json"), "--ceiling", "196Gbit", "--json",
                 "--out", page()}),
            ExitCode::kOk)
      << err_.str();
  EXPECT_EQ(nlohmann::json::parse(out_.str())["ceiling"]["gbps"], 196);
  EXPECT_EQ(run({fixture("measurements/sweep_before.json"), "--ceiling", "fast", "--out", page()}),
            ExitCode::kUsage);
}

TEST_F(ReportCommand, TakesRunsByTheirFolderAndByTheirManifest) {
  const std::string first = runFolder("pair-0001");
  const std::string second = runFolder("pair-0002", "pair-0001");
  ASSERT_EQ(run({first + "/", second + "/manifest.json", "--json", "--out", page()}), ExitCode::kOk)
      << err_.str();
  const auto data = nlohmann::json::parse(out_.str());
  EXPECT_EQ(data["files"][0]["file"], first);
  EXPECT_EQ(data["files"][1]["file"], second);
  EXPECT_EQ(data["files"][1]["kind"], "train");
  EXPECT_EQ(data["files"][1]["content"]["steps"].size(), 3U);
  EXPECT_EQ(data["runs"]["steps"], 3);
  EXPECT_EQ(data["statements"][0]["headline"], "The losses of both runs are the same");
  EXPECT_EQ(data["statements"][1]["headline"], "The run finished");
  EXPECT_THAT(written(), HasSubstr("a replay of pair-0001"));
}

TEST_F(ReportCommand, RefusesAFolderThatIsNoRunAndAManifestThatWasChanged) {
  std::filesystem::create_directories(folder_ + "/empty");
  EXPECT_EQ(run({folder_ + "/empty", "--out", page()}), ExitCode::kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("/empty: a folder without manifest.json is no training run's"));
  const std::string changed = runFolder("pair-0001");
  std::ofstream(changed + "/manifest.json") << "{}";
  EXPECT_EQ(run({changed, "--out", page()}), ExitCode::kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("manifest.json"));
  EXPECT_FALSE(std::filesystem::exists(page()));
}

TEST_F(ReportCommand, RefusesAFileOfAnotherKindAndLeavesNoPage) {
  EXPECT_EQ(run({fixture("two_sparks.json"), "--out", page()}), ExitCode::kUsage);
  EXPECT_EQ(
      err_.str(),
      "railhead: tests/fixtures/report/two_sparks.json: schema: '\"railhead.report/1\"' is not "
      "one of railhead.verify/1, railhead.doctor/1, railhead.bench.collectives/1, "
      "railhead.bench.verbs/1, railhead.tune/1, railhead.train.run/1, "
      "railhead.verify-log/1\n"
      "  remedy: give files written by railhead verify --out FILE, railhead doctor --json, "
      "railhead bench collectives --out FILE, railhead bench verbs --json, railhead tune --json, "
      "railhead train show RUN --json, railhead verify --log LOG --out FILE\n");
  EXPECT_FALSE(std::filesystem::exists(page()));
}

TEST_F(ReportCommand, SaysWhatIsMissing) {
  EXPECT_EQ(run({"--out", page()}), ExitCode::kUsage);
  EXPECT_EQ(run({fixture("measurements/verbs.json")}), ExitCode::kUsage);
  EXPECT_EQ(run({folder_ + "/nothing.json", "--out", page()}), ExitCode::kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("nothing.json"));
}

}  // namespace
}  // namespace railhead::app

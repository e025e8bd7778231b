#include "apps/railhead/report_command.h"

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

TEST_F(ReportCommand, RefusesAFileOfAnotherKindAndLeavesNoPage) {
  EXPECT_EQ(run({fixture("two_sparks.json"), "--out", page()}), ExitCode::kUsage);
  EXPECT_EQ(
      err_.str(),
      "railhead: tests/fixtures/report/two_sparks.json: schema: '\"railhead.report/1\"' is not "
      "one of railhead.verify/1, railhead.doctor/1, railhead.bench.collectives/1, "
      "railhead.bench.verbs/1, railhead.tune/1, railhead.train.run/1\n"
      "  remedy: give files written by railhead verify --out FILE, railhead doctor --json, "
      "railhead bench collectives --out FILE, railhead bench verbs --json, railhead tune --json, "
      "railhead train show RUN --json\n");
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

// The README's first command, held against everything it promises. Boots the lab for real.
#include "src/os/process.h"
#include "tests/integration/lab_fixture.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;

class DemoTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "railhead-demo-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    out_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(out_); }

  Result<os::ProcessResult> demo(std::vector<std::string> options) {
    os::SystemProcessRunner runner;
    os::ProcessSpec spec;
    spec.argv = {builtProgram("railhead"), "demo", "--out", out_};
    spec.argv.insert(spec.argv.end(), options.begin(), options.end());
    spec.deadline = std::chrono::minutes(6);
    return runner.run(spec);
  }

  std::string read(const std::string& name) {
    std::ifstream file(out_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string out_;
};

TEST_F(DemoTest, ShowsTheJourneyAndProvesIt) {
  const auto ran = demo({});
  ASSERT_TRUE(ran.has_value()) << ran.error().message;
  ASSERT_EQ(ran->exitCode, 0) << ran->errorOutput << ran->output;
  const Json report = Json::parse(read("report.json"), nullptr, false);
  ASSERT_TRUE(report.is_object());

  ASSERT_EQ(report["nodes"].size(), 2U);
  for (const auto& node : report["nodes"]) {
    ASSERT_EQ(node["pfs"].size(), 2U);
    std::size_t vfs = 0;
    for (const auto& pf : node["pfs"]) {
      vfs += pf["vfs"].size();
      EXPECT_FALSE(pf["name"].get<std::string>().empty());
      EXPECT_FALSE(pf["twin"].get<std::string>().empty());
    }
    EXPECT_EQ(vfs, 8U);
    EXPECT_EQ(node["allocatable"]["nvidia.com/cx7_qsfp"], 4);
  }

  ASSERT_EQ(report["pods"].size(), 2U);
  std::set<std::string> addresses;
  std::set<std::string> nodes;
  for (const auto& pod : report["pods"]) {
    nodes.insert(pod["node"].get<std::string>());
    std::vector<std::string> names;
    for (const auto& interface : pod["interfaces"]) {
      names.push_back(interface["name"]);
      addresses.insert(interface["address"].get<std::string>());
      EXPECT_FALSE(interface["rdma"].get<std::string>().empty());
    }
    EXPECT_THAT(names, testing::ElementsAre("net1", "net2"));
  }
  EXPECT_EQ(nodes.size(), 2U);
  EXPECT_EQ(addresses.size(), 4U);

  const Json& rdma = report["rdma"];
  EXPECT_TRUE(rdma["verified"].get<bool>());
  const double one = rdma["one_rail_gbps"];
  EXPECT_GE(rdma["both_rails_gbps"].get<double>(), 1.7 * one);
  EXPECT_GE(one, 0.9 * rdma["perftest_gbps"].get<double>());
  EXPECT_LE(one, 1.02 * rdma["ceiling_gbps"].get<double>());
  EXPECT_GT(rdma["latency_us"].get<double>(), 0);
  const Json& training = report["training"];
  EXPECT_EQ(training["losses"].size(), training["steps"].get<std::size_t>());
  EXPECT_LT(training["losses"].back().get<double>(), training["losses"].front().get<double>());
  EXPECT_TRUE(training["equal"].get<bool>());
  EXPECT_TRUE(training["by_rdma"].get<bool>());
  EXPECT_EQ(training["restarts"], 1);
  EXPECT_GT(training["killed_after_step"], training["resumed_from_step"]);

  ASSERT_GE(report["steps"].size(), 7U);
  double journey = report["seconds"];
  journey -= report["steps"].back()["seconds"].get<double>();
  EXPECT_LT(journey, 150);  // on 2 cores; 47 s when idle
  EXPECT_LT(report["seconds"].get<double>(), 300);
  RecordProperty("one_rail_gbps", std::to_string(one));
  RecordProperty("demo_seconds", std::to_string(report["seconds"].get<double>()));

  const std::string html = read("report.html");
  EXPECT_THAT(html, testing::HasSubstr("10.100.0.1"));
  EXPECT_EQ(html.find("src=\"http"), std::string::npos);
}

TEST_F(DemoTest, AFailingStepIsNamedWithItsCauseAndRemedy) {
  const auto ran = demo({"--image", out_ + "/no-image"});
  ASSERT_TRUE(ran.has_value()) << ran.error().message;
  EXPECT_EQ(ran->exitCode, 4) << ran->errorOutput;
  EXPECT_THAT(ran->errorOutput, testing::HasSubstr("no-image"));
  const Json report = Json::parse(read("report.json"), nullptr, false);
  ASSERT_TRUE(report.is_object());
  EXPECT_FALSE(report["result"]["ok"].get<bool>());
  EXPECT_FALSE(report["result"]["remedy"].get<std::string>().empty());
}

}  // namespace
}  // namespace railhead::lab

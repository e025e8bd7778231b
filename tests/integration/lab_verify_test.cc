// The verdict on emulated nodes, whose rails carry 20 Mb/s each: soft-RoCE between pods over both
// rails, with one cable pulled, and with RDMA taken away.
#include "lab/demo/stage.h"
#include "src/os/process.h"
#include "tests/integration/lab_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

class LabVerify : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    topology_ = new Topology(*loadTopology("two-sparks"));
    auto lab = BoundLab::start(*topology_, labOptions("verify"));
    ASSERT_TRUE(lab.has_value()) << lab.error().describe();
    lab_ = new BoundLab(std::move(*lab));
    const auto nodes = Stage(lab_->client(), *topology_).prepare();
    ASSERT_TRUE(nodes.has_value()) << nodes.error().describe();
  }
  static void TearDownTestSuite() {
    delete lab_;
    delete topology_;
    lab_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(lab_, nullptr) << "the lab did not start"; }

  static os::ProcessResult run(const std::vector<std::string>& more) {
    os::ProcessSpec spec;
    spec.argv = {builtProgram("railhead"),
                 "verify",
                 "--on",
                 "lab",
                 "--lab",
                 "verify",
                 "--backend",
                 "host",
                 "--message",
                 "256KiB",
                 "--seconds",
                 "4",
                 "--line-rate",
                 "20Mbit",
                 "--json"};
    spec.argv.insert(spec.argv.end(), more.begin(), more.end());
    spec.deadline = std::chrono::seconds(120);
    auto result = os::SystemProcessRunner().run(spec);
    EXPECT_TRUE(result.has_value()) << result.error().describe();
    return result.has_value() ? *result : os::ProcessResult{};
  }
  static Json verdict(const std::vector<std::string>& more = {}) {
    const auto result = run(more);
    EXPECT_EQ(result.exitCode, 0) << result.errorOutput;
    const Json json = Json::parse(result.output, nullptr, false);
    std::printf("%s: %s\n", more.empty() ? "as it is" : more.back().c_str(),
                json.is_object() ? json["directions"].dump(1).substr(0, 1500).c_str() : "none");
    return json;
  }
  static std::string findings(const Json& direction) {
    std::string out;
    for (const auto& finding : direction["findings"])
      out += finding["kind"].get<std::string>() + " ";
    return out;
  }
  static void inPod(std::size_t node, const std::string& script) {
    const auto done =
        Stage(lab_->client(), *topology_)
            .shell(node)
            .run({"railhead-lab-kubelet", "exec", "default/trainer-" + std::to_string(node), "--",
                  "sh", "-c", script});
    ASSERT_TRUE(done.has_value()) << done.error().describe();
  }

  static inline Topology* topology_ = nullptr;
  static inline BoundLab* lab_ = nullptr;
};

TEST_F(LabVerify, SoftRoceOverBothRailsIsHostStagedForSoftwareCanDoNoBetter) {
  const Json json = verdict({"--transport", "verbs"});
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["verdict"], "host-staged-hardware");
  for (const auto& direction : json["directions"]) {
    EXPECT_EQ(findings(direction).find("one-rail-only"), std::string::npos);
    ASSERT_TRUE(direction["share"].is_number());
    EXPECT_GT(direction["share"].get<double>(), 0.05);
    EXPECT_LE(direction["share"].get<double>(), 1.1);
  }
  const auto gate = run({"--transport", "verbs", "--expect", "gdr"});
  EXPECT_EQ(gate.exitCode, 3);
  EXPECT_EQ(run({"--transport", "verbs", "--expect", "rdma"}).exitCode, 0);
}

TEST_F(LabVerify, APulledCableIsOneRailOnly) {
  const auto& link = topology_->links.back();
  LinkChange cut;
  cut.cut = true;
  ASSERT_TRUE(lab_->client().setLink(link.name, cut).has_value());
  const Json json = verdict({"--transport", "verbs"});
  LinkChange mended;
  mended.cut = false;
  ASSERT_TRUE(lab_->client().setLink(link.name, mended).has_value());
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["verdict"], "host-staged-hardware");
  EXPECT_THAT(json["ranks"].dump(), HasSubstr("does not carry from rank 0 to rank 1"));
  for (const auto& direction : json["directions"]) {
    EXPECT_THAT(findings(direction), HasSubstr("one-rail-only"));
    EXPECT_LT(direction["share"].get<double>(), 0.6);
  }
}

// Last: it leaves the pods without RDMA.
TEST_F(LabVerify, WithoutRdmaTheSameCommandSaysSockets) {
  for (std::size_t node = 0; node < 2; ++node) {
    inPod(node, "for d in /sys/class/infiniband/*; do rdma link delete ${d##*/} || exit 1; done");
  }
  const Json json = verdict();
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["verdict"], "sockets");
  EXPECT_EQ(run({"--expect", "rdma"}).exitCode, 3);
}

}  // namespace
}  // namespace railhead::lab

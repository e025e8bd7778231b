// `railhead bench verbs` on emulated nodes, whose rails carry 20 Mb/s each: writes, reads and sends
// over soft-RoCE between the two pods, every byte verified, each rail alone and both at once. RDMA
// namespaces are exclusive here; in the demo they are shared.
#include "lab/demo/node_setup.h"
#include "lab/demo/stage.h"
#include "tests/integration/lab_fixture.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;

// Emulated nodes share this machine's cores: what the rails carry then is for it to say, but half
// of what the wire would carry is not much to ask, and no more than it carries can arrive.
constexpr double kLeastShare = 0.5;
constexpr double kMostShare = 1.1;
constexpr std::chrono::seconds kBenchTime{180};

class LabVerbs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    topology_ = new Topology(*loadTopology("two-sparks"));
    auto lab = BoundLab::start(*topology_, labOptions("verbs"));
    ASSERT_TRUE(lab.has_value()) << lab.error().describe();
    lab_ = new BoundLab(std::move(*lab));
    for (const NodeSpec& node : topology_->nodes) {
      const auto exclusive = makeRdmaExclusive({lab_->client(), node.name});
      ASSERT_TRUE(exclusive.has_value()) << exclusive.error().describe();
    }
    auto nodes = Stage(lab_->client(), *topology_).prepare();
    ASSERT_TRUE(nodes.has_value()) << nodes.error().describe();
    nodes_ = new std::vector<StagedNode>(std::move(*nodes));
  }
  static void TearDownTestSuite() {
    delete nodes_;
    delete lab_;
    delete topology_;
    lab_ = nullptr;
    nodes_ = nullptr;
  }
  void SetUp() override {
    ASSERT_NE(lab_, nullptr) << "the lab did not start";
    ASSERT_NE(nodes_, nullptr) << "there are no pods";
    ASSERT_EQ(nodes_->size(), 2U);
  }

  static NodeShell::Ran inPod(std::size_t index, std::vector<std::string> words) {
    const StagedNode& node = (*nodes_)[index];
    words.insert(words.begin(), {"railhead-lab-kubelet", "exec", node.pod.fullName(), "--",
                                 "railhead", "bench", "verbs", "--token", "lab", "--json"});
    return NodeShell(lab_->client(), node.node.name).attempt(words, {}, kBenchTime);
  }
  // The connecting end's report, from spark-a to spark-b.
  static Json measured(const std::string& operation, const std::vector<std::string>& more) {
    const std::string& address = (*nodes_)[1].pod.interfaces.front().address;
    const std::string where = address.substr(0, address.find('/')) + ":18515";
    auto listening = std::async(std::launch::async, [&] { return inPod(1, {"--listen", where}); });
    std::vector<std::string> words = {"--connect",      where,    "--operation",    operation,
                                      "--line-rate",    "20Mbit", "--seconds",      "3",
                                      "--rate-seconds", "1",      "--size-seconds", "1"};
    words.insert(words.end(), more.begin(), more.end());
    const auto ran = inPod(0, words);
    const auto listened = listening.get();
    EXPECT_FALSE(ran.failure) << ran.failure->describe();
    EXPECT_FALSE(listened.failure) << listened.failure->describe();
    const Json json = Json::parse(ran.output, nullptr, false);
    std::printf("%s: %s\n", operation.c_str(),
                json.is_object() ? json["all_rails"].dump(1).substr(0, 1500).c_str() : "none");
    return json;
  }
  static void expectShare(const Json& share, const std::string& what) {
    ASSERT_TRUE(share.is_number()) << what;
    EXPECT_GE(share.get<double>(), kLeastShare) << what;
    EXPECT_LE(share.get<double>(), kMostShare) << what;
  }

  static void expectAllOf(const std::string& operation);

  static inline Topology* topology_ = nullptr;
  static inline BoundLab* lab_ = nullptr;
  static inline std::vector<StagedNode>* nodes_ = nullptr;
};

void LabVerbs::expectAllOf(const std::string& operation) {
  const Json json = measured(operation, {"--sizes", "4KiB,64KiB"});
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["verified"], true);
  EXPECT_GT(json["bytes_checked"].get<std::uint64_t>(), 0U);
  EXPECT_EQ(json["bytes_wrong"], 0);
  EXPECT_EQ(json["plan"]["operation"], operation);
  ASSERT_EQ(json["rails"].size(), 2U);
  for (const auto& rail : json["rails"]) {
    const std::string name = operation + " over rail " + rail["rail"].dump();
    expectShare(rail["share"], name);
    EXPECT_GT(rail["bytes_checked"].get<std::uint64_t>(), 0U) << name;
    EXPECT_EQ(rail["bytes_wrong"], 0) << name;
    ASSERT_TRUE(rail["latency"].is_object()) << name;
    EXPECT_GT(rail["latency"]["median_us"].get<double>(), 0) << name;
    EXPECT_GE(rail["latency"]["p99_us"], rail["latency"]["median_us"]) << name;
    ASSERT_TRUE(rail["message_rate"]["per_second"].is_number()) << name;
    EXPECT_GT(rail["message_rate"]["per_second"].get<double>(), 0) << name;
    ASSERT_EQ(rail["sizes"].size(), 2U) << name;
    for (const auto& size : rail["sizes"]) {
      EXPECT_GT(size["gbps"].get<double>(), 0) << name << ", " << size["message_bytes"];
      EXPECT_GT(size["gbps_together"].get<double>(), 0) << name << ", " << size["message_bytes"];
    }
    expectShare(rail["sizes"][1]["share"], name + ", 64 KiB");
  }
  expectShare(json["all_rails"]["share"], operation + " over both");
  // Two rails carry what one cannot.
  for (const auto& rail : json["rails"])
    EXPECT_GT(json["all_rails"]["gbps"].get<double>(), 1.2 * rail["gbps"].get<double>());
  EXPECT_GT(json["all_rails"]["messages_per_second"].get<double>(), 0);
}

TEST_F(LabVerbs, WritesMoveEveryByteAndNearlyWhatTheWireCarries) { expectAllOf("write"); }
TEST_F(LabVerbs, ReadsDoToo) { expectAllOf("read"); }
TEST_F(LabVerbs, SendsDoToo) { expectAllOf("send"); }

TEST_F(LabVerbs, SeveralQueuePairsCarryTheSameBytes) {
  const Json json = measured("write", {"--qps", "4"});
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["verified"], true);
  EXPECT_EQ(json["plan"]["pairs_per_rail"], 4);
  expectShare(json["all_rails"]["share"], "over 4 queue pairs on each rail");
}

}  // namespace
}  // namespace railhead::lab

// The demo's pure parts: what it writes is accepted by those who read it, what it reads is checked.
#include "lab/demo/measure.h"
#include "lab/demo/picture.h"
#include "lab/demo/scenario.h"
#include "src/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Scenario, TheAgentAcceptsEveryBuiltInsConfiguration) {
  for (const auto& name : builtinTopologies()) {
    const auto topology = loadTopology(name);
    ASSERT_TRUE(topology.has_value()) << topology.error().message;
    for (std::size_t i = 0; i < topology->nodes.size(); ++i) {
      const auto config = agent::parseConfig(agentConfig(*topology, i), name);
      ASSERT_TRUE(config.has_value()) << config.error().message;
      EXPECT_EQ(config->attach.addresses.nodeOrdinal, static_cast<int>(i));
      EXPECT_EQ(config->goal.pfs.size(), topology->nodes[i].pfs.size());
      EXPECT_EQ(config->attach.networks.at(0).railSubnets.size(), railsPerSet(*topology));
    }
  }
}

constexpr const char* kAgent = R"({"node":{"kernel":"7.3.4","pfs":[
  {"netdev":"p0","pci":"0000:01:00.0","driver":"igb","mac":"02:00:00:00:00:01","mtu":1500,"carrier":true,
   "vfs":[{"index":0,"pci":"0000:01:10.0","netdev":null,"mac":"02:00:00:00:00:02"}]},
  {"netdev":"p1","pci":"0000:02:00.0","driver":"igb","carrier":false,"vfs":[]}],
  "cages":[["0000:01:00.0","0000:02:00.0"]]},
 "resources":[{"name":"r/x","devices":[{"id":"s0","healthy":true,"rails":[{"vf":"0000:01:10.0"}]}]}],
 "attachments":[{"namespace":"default","pod":"trainer-0","rails":[
   {"name":"net1","rail":0,"vf":"0000:01:10.0","rail_set":"s0","addresses":["10.100.0.1/24"],"rdma":"rxe0"}]}]})";
constexpr const char* kKubelet = R"({"allocatable":{"r/x":1},
 "resources":{"r/x":{"devices":[{"id":"s0","healthy":true,"pod":"default/trainer-0"}]}}})";

TEST(Picture, JoinsWhatAgentAndKubeletSay) {
  const auto node = nodePicture("spark-a", kAgent, kKubelet);
  ASSERT_TRUE(node.has_value()) << node.error().message;
  EXPECT_EQ(node->allocatable.at("r/x"), 1U);
  ASSERT_EQ(node->pfs.size(), 2U);
  EXPECT_EQ(node->pfs[0].twin, "p1");
  EXPECT_EQ(node->pfs[1].twin, "p0");
  EXPECT_EQ(node->pfs[0].vfs.at(0).railSet, "s0");
  EXPECT_EQ(node->pfs[0].vfs.at(0).pod, "default/trainer-0");
  EXPECT_EQ(node->railSets.at(0).pod, "default/trainer-0");

  const auto pod = podPicture(
      "spark-a", "default", "trainer-0", kAgent,
      R"({"cni":{"interfaces":[{"name":"net1","mac":"02:00:00:00:00:02","mtu":1500}]}})");
  ASSERT_TRUE(pod.has_value()) << pod.error().message;
  EXPECT_EQ(pod->railSet, "s0");
  EXPECT_EQ(pod->interfaces.at(0).address, "10.100.0.1/24");
  EXPECT_EQ(pod->interfaces.at(0).mac, "02:00:00:00:00:02");
  EXPECT_EQ(podPicture("spark-a", "default", "other", kAgent, "{}").error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(nodePicture("spark-a", "", kKubelet).error().code, ErrorCode::kCorrupt);
}

TEST(Measure, ReadsPerftest) {
  constexpr const char* kOutput =
      " RX depth: 1\n #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   "
      "MsgRate[Mpps]\n"
      " 65536      300              0.038              0.037                0.000071\n---\n";
  EXPECT_DOUBLE_EQ(*parsePerftest(kOutput), 0.037);
  EXPECT_EQ(parsePerftest("Couldn't connect").error().code, ErrorCode::kCorrupt);
}

TEST(Measure, ReadsOurBench) {
  report::Pod pod;
  pod.name = "a";
  pod.namespaceName = "default";
  const auto rdma = parseBench(
      R"({"verified":true,"bytes_checked":4096,"plan":{"message_bytes":65536,"seed":1},
          "rails":[{"rail":0,"netdev":"net1","gbps":0.036,"ceiling":{"gbps":0.037},"latency":{"median_us":900.5,"p99_us":1500},"bytes_checked":2048}],
          "all_rails":{"gbps":0.07,"ceiling":{"gbps":0.074}},"latency":{"median_us":901,"p99_us":1600}})",
      pod, pod);
  ASSERT_TRUE(rdma.has_value()) << rdma.error().message;
  EXPECT_TRUE(rdma->verified);
  EXPECT_DOUBLE_EQ(*rdma->oneRailGbps, 0.036);
  EXPECT_DOUBLE_EQ(*rdma->bothRailsGbps, 0.07);
  EXPECT_DOUBLE_EQ(*rdma->ceilingGbps, 0.037);
  EXPECT_DOUBLE_EQ(*rdma->latencyP99Us, 1600);
  EXPECT_EQ(rdma->perRail.at(0).bytesChecked, 2048U);
  EXPECT_FALSE(parseBench("{}", pod, pod).has_value());
  EXPECT_FALSE(parseBench(R"({"rails":[]})", pod, pod).has_value());
}

}  // namespace
}  // namespace railhead::lab

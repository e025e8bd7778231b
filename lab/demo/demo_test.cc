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

// The agent's picture may be from before the attachment: what the attachment says counts.
TEST(Picture, AVfThatAPodHoldsIsShownAsThePodSeesIt) {
  auto node = nodePicture("spark-a", kAgent, kKubelet);
  ASSERT_TRUE(node.has_value());
  node->pfs[0].vfs[0].netdev = "p0v0";
  node->pfs[0].vfs[0].mac = "00:00:00:00:00:00";
  node->pfs[0].vfs[0].pod.clear();
  node->railSets[0].pod.clear();
  report::Vf free;
  free.pci = "0000:01:10.4";
  free.netdev = "p0v1";
  node->pfs[0].vfs.push_back(free);
  const auto pod = podPicture(
      "spark-a", "default", "trainer-0", kAgent,
      R"({"cni":{"interfaces":[{"name":"net1","mac":"02:00:00:00:00:02","mtu":1500}]}})");
  ASSERT_TRUE(pod.has_value());
  placePod(*node, *pod);
  EXPECT_EQ(node->pfs[0].vfs[0].netdev, "");
  EXPECT_EQ(node->pfs[0].vfs[0].mac, "02:00:00:00:00:02");
  EXPECT_EQ(node->pfs[0].vfs[0].pod, "default/trainer-0");
  EXPECT_EQ(node->pfs[0].vfs[0].railSet, "s0");
  EXPECT_EQ(node->railSets[0].pod, "default/trainer-0");
  EXPECT_EQ(node->pfs[0].vfs[1], free);
}

// Two nodes with rails of unequal rate; the pod's interfaces are on VFs of both PFs.
TEST(Picture, EachRailHasTheRateOfItsOwnLink) {
  const auto topology = parseTopology(
      "{name: t, twins: [[p0, p1]], nodes: [{name: a, pfs: [{name: p0}, {name: p1}, {name: p2}]}, "
      "{name: b, pfs: [{name: p0}, {name: p1}]}], links: ["
      "{name: r0, rate: 20Mbit, ends: [a/p0, b/p0]}, {name: r1, rate: 10Mbit, ends: [a/p1, "
      "b/p1]}]}",
      "t");
  ASSERT_TRUE(topology.has_value()) << topology.error().message;
  report::Node node;
  for (const char* name : {"p0", "p1", "p2"}) {
    report::Pf pf;
    pf.name = name;
    pf.vfs.resize(1);
    pf.vfs[0].pci = std::string("vf of ") + name;
    node.pfs.push_back(pf);
  }
  report::Pod pod;
  pod.interfaces.resize(2);
  pod.interfaces[0].vf = "vf of p0";
  pod.interfaces[1].vf = "vf of p1";
  const auto rates = lineRates(*topology, 0, node, pod);
  ASSERT_TRUE(rates.has_value()) << rates.error().message;
  ASSERT_EQ(rates->size(), 2U);
  EXPECT_EQ(rates->at(0).bitsPerSecond, 20e6);
  EXPECT_EQ(rates->at(1).bitsPerSecond, 10e6);
  pod.interfaces[1].vf = "vf of p2";
  pod.interfaces[1].name = "net2";
  const auto unplugged = lineRates(*topology, 0, node, pod);
  ASSERT_FALSE(unplugged.has_value());
  EXPECT_THAT(unplugged.error().message, HasSubstr("net2"));
}

std::vector<NodePair> pairsOf(const std::string& yaml) {
  const auto topology = parseTopology(yaml, "t");
  EXPECT_TRUE(topology.has_value()) << topology.error().message;
  return topology.has_value() ? measuredPairs(*topology) : std::vector<NodePair>{};
}

TEST(Scenario, MoreThanTwoNodesMeasureInARing) {
  EXPECT_THAT(measuredPairs(*loadTopology("two-sparks")), ElementsAre(NodePair{0, 1}));
  EXPECT_THAT(measuredPairs(*loadTopology("four-nodes")),
              ElementsAre(NodePair{0, 1}, NodePair{1, 2}, NodePair{2, 3}, NodePair{3, 0}));
  EXPECT_TRUE(pairsOf("{name: t, nodes: [{name: a}]}").empty());
  // Two cables: each node writes to the one at the other end of its own.
  EXPECT_THAT(pairsOf("{name: t, nodes: [{name: a, pfs: [{name: p}]}, {name: b, pfs: [{name: p}]}, "
                      "{name: c, pfs: [{name: p}]}, {name: d, pfs: [{name: p}]}], links: ["
                      "{name: x, rate: 1Mbit, ends: [a/p, c/p]}, "
                      "{name: y, rate: 1Mbit, ends: [b/p, d/p]}]}"),
              ElementsAre(NodePair{0, 2}, NodePair{1, 3}, NodePair{2, 0}, NodePair{3, 1}));
}

report::Rdma pairOf(const std::string& from, double both, std::uint64_t wrong = 0) {
  report::Rdma pair;
  pair.from = from;
  pair.verified = wrong == 0;
  pair.bytesChecked = 100;
  pair.bytesWrong = wrong;
  pair.bothRailsGbps = both;
  pair.perRail.resize(2);
  pair.perRail[0].from = pair.perRail[1].from = from;
  return pair;
}

TEST(Measure, PairsAreJoinedAroundTheSlowest) {
  const auto joined = joinPairs({pairOf("a", 0.04), pairOf("b", 0.03), pairOf("c", 0.05)});
  EXPECT_EQ(joined.from, "b");
  EXPECT_EQ(joined.bothRailsGbps, 0.03);
  EXPECT_TRUE(joined.verified);
  EXPECT_EQ(joined.bytesChecked, 300U);
  ASSERT_EQ(joined.perRail.size(), 6U);
  EXPECT_EQ(joined.perRail[4].from, "c");
  const auto wrong = joinPairs({pairOf("a", 0.01), pairOf("b", 0.03, 7)});
  EXPECT_EQ(wrong.from, "b");
  EXPECT_FALSE(wrong.verified);
  EXPECT_EQ(wrong.bytesWrong, 7U);
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
  EXPECT_EQ(rdma->bytesWrong, 0U);
  const auto wrong = parseBench(
      R"({"verified":false,"bytes_checked":4096,"bytes_wrong":3,"failure":"byte 5 is","plan":{},
          "rails":[{"rail":0,"gbps":null,"latency":null,"bytes_checked":4096,"bytes_wrong":3}],
          "all_rails":{"gbps":null}})",
      pod, pod);
  ASSERT_TRUE(wrong.has_value()) << wrong.error().message;
  EXPECT_FALSE(wrong->verified);
  EXPECT_EQ(wrong->bytesWrong, 3U);
  EXPECT_EQ(wrong->perRail.at(0).bytesWrong, 3U);
  EXPECT_FALSE(wrong->oneRailGbps.has_value());
  EXPECT_FALSE(parseBench("{}", pod, pod).has_value());
  EXPECT_FALSE(parseBench(R"({"rails":[]})", pod, pod).has_value());
}

}  // namespace
}  // namespace railhead::lab

#include "lab/topology/topology.h"

#include "lab/topology/builtin.h"

#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kGood = R"(name: pair
twins: [[p0, p1]]
nodes:
  - {name: a, memory: 256, cpus: 2, pfs: [{name: p0}, {name: p1, vfs: 7}]}
  - {name: b, pfs: [{name: p0}]}
links:
  - {name: rail0, rate: 40Mbit, ends: [a/p0, b/p0]}
)";

TEST(Topology, ReadsNodesLinksAndDefaults) {
  const auto topology = parseTopology(kGood, "pair.yaml");
  ASSERT_TRUE(topology) << topology.error().describe();
  EXPECT_EQ(topology->name, "pair");
  ASSERT_EQ(topology->nodes.size(), 2U);
  EXPECT_EQ(topology->nodes[0].memoryMib, 256U);
  EXPECT_EQ(topology->nodes[0].cpus, 2U);
  EXPECT_EQ(topology->nodes[1].memoryMib, 512U);
  EXPECT_EQ(topology->nodes[0].pfs[0].vfs, 4U);
  EXPECT_EQ(topology->nodes[0].pfs[1].vfs, 7U);
  ASSERT_EQ(topology->links.size(), 1U);
  EXPECT_EQ(topology->links[0].rate.bitsPerSecond, 40e6);
  EXPECT_EQ(topology->endName(topology->links[0].ends[1]), "b/p0");
  EXPECT_EQ(topology->linkOf({0, 0}), &topology->links[0]);
  EXPECT_EQ(topology->linkOf({0, 1}), nullptr);
  EXPECT_EQ(topology->twins, (decltype(topology->twins){{"p0", "p1"}}));
}

TEST(Topology, SlotsDecideTheOrderOnTheBus) {
  const auto topology = parseTopology(
      "{name: t, nodes: [{name: a, pfs: [{name: p0, slot: 9}, {name: p1, slot: 2}]}]}", "t");
  ASSERT_TRUE(topology) << topology.error().describe();
  EXPECT_EQ(pfAddress(topology->nodes[0], 0).toString(), "0000:02:00.0");
  EXPECT_EQ(pfAddress(topology->nodes[0], 1).toString(), "0000:01:00.0");
}

TEST(Topology, MacsAreStableLocalAndDistinct) {
  const auto topology = loadTopology("four-nodes");
  ASSERT_TRUE(topology);
  std::set<Mac> macs;
  for (const auto& node : topology->nodes) {
    for (std::size_t pf = 0; pf < node.pfs.size(); ++pf) {
      const Mac mac = pfMac(node, pf);
      EXPECT_TRUE(mac.isLocallyAdministered());
      EXPECT_FALSE(mac.isMulticast());
      EXPECT_EQ(mac, pfMac(node, pf));
      macs.insert(mac);
    }
  }
  EXPECT_EQ(macs.size(), 8U);
}

TEST(Topology, BuiltinsAreGoodAndSurviveTheNormalForm) {
  EXPECT_EQ(builtinTopologies(), (std::vector<std::string>{"four-nodes", "two-sparks"}));
  for (const auto& name : builtinTopologies()) {
    const auto topology = loadTopology(name);
    ASSERT_TRUE(topology) << topology.error().describe();
    EXPECT_EQ(topology->name, name);
    const std::string normal = toYaml(*topology);
    const auto again = parseTopology(normal, "normal form");
    ASSERT_TRUE(again) << again.error().describe() << '\n' << normal;
    EXPECT_EQ(toYaml(*again), normal);
  }
}

TEST(Topology, LoadsAFileAndNamesWhatItCannotFind) {
  const std::string path = testing::TempDir() + "/topology_test.yaml";
  std::ofstream(path) << kGood;
  const auto topology = loadTopology(path);
  ASSERT_TRUE(topology) << topology.error().describe();
  EXPECT_EQ(topology->name, "pair");
  std::ofstream(path) << std::string(70000, '#');
  EXPECT_THAT(loadTopology(path).error().message, HasSubstr("64 KiB"));
  ASSERT_EQ(std::remove(path.c_str()), 0);
  for (const std::string& unreadable : {path, testing::TempDir() + "/"}) {
    const auto absent = loadTopology(unreadable);
    ASSERT_FALSE(absent);
    EXPECT_THAT(absent.error().message, HasSubstr(unreadable + "' cannot be read"));
    EXPECT_EQ(exitCodeFor(absent.error().code), ExitCode::kUsage);
    EXPECT_THAT(absent.error().remedy, HasSubstr("two-sparks"));
  }
  const auto unknown = loadTopology("three-sparks");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(exitCodeFor(unknown.error().code), ExitCode::kUsage);
  EXPECT_THAT(unknown.error().message, AllOf(HasSubstr("three-sparks"), HasSubstr("two-sparks")));
}

struct BadCase {
  std::string label;
  std::string yaml;
  std::vector<std::string> expected;  // all of them appear in the message
};

class BadTopology : public testing::TestWithParam<BadCase> {};

TEST_P(BadTopology, NamesFieldValueAllowedAndLine) {
  const auto topology = parseTopology(GetParam().yaml, "bad.yaml");
  ASSERT_FALSE(topology);
  EXPECT_EQ(topology.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(topology.error().message, StartsWith("bad.yaml:"));
  for (const auto& part : GetParam().expected) {
    EXPECT_THAT(topology.error().message, HasSubstr(part));
  }
}

std::string node(const std::string& fields) {
  return "name: t\nnodes:\n  - {name: a" + fields + "}";
}
std::string link(const std::string& fields) {
  return "name: t\nnodes:\n  - {name: a, pfs: [{name: p0}, {name: p1}]}\n  - {name: b, pfs: "
         "[{name: "
         "p0}]}\nlinks:\n  - {name: l" +
         fields + "}";
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTopology,
    testing::Values(
        BadCase{"NotYaml", "name: [", {"bad.yaml:", "not YAML"}},
        BadCase{"Empty", "", {"a map of name, twins"}},
        BadCase{"List", "- a", {"bad.yaml:1: the document is a list; allowed: a map of name"}},
        BadCase{"TwoDocuments", "name: a\n---\nname: b", {"bad.yaml:2: ", "second document"}},
        BadCase{"NoName", "nodes: [{name: a}]", {"bad.yaml:1: name is missing"}},
        BadCase{"BadName", "name: 'a b'\nnodes: []", {"name is 'a b'", "allowed: 1 to 32"}},
        BadCase{"NoNodes", "name: t", {"nodes is missing"}},
        BadCase{"EmptyNodes", "name: t\nnodes: []", {":2: nodes has 0 entries", "1 to 16"}},
        BadCase{"NodesIsWord", "name: t\nnodes: two", {":2: nodes is 'two'", "list"}},
        BadCase{"UnknownKey", "name: t\nnode: []", {":2: node is unknown", "twins, nodes"}},
        BadCase{"KeyTwice", "name: t\nnodes: [{name: a}]\nname: u", {"name is given twice"}},
        BadCase{
            "NodeUnknownKey", node(", memroy: 1"), {":3: nodes[0].memroy is unknown", "memory"}},
        BadCase{"MemoryHigh", node(", memory: 4096"), {"nodes[0].memory is '4096'", "256 to 1024"}},
        BadCase{"MemoryWord", node(", memory: lots"), {"'lots'", "MiB"}},
        BadCase{"MemoryNegative", node(", memory: -1"), {"'-1'"}},
        BadCase{"Cpus", node(", cpus: 5"), {"nodes[0].cpus is '5'", "1 to 4"}},
        BadCase{"NodeTwice",
                "name: t\nnodes:\n  - {name: a}\n  - {name: a}",
                {":4: nodes[1].name is 'a'", "another node"}},
        BadCase{"FivePfs",
                node(", pfs: [{name: a},{name: b},{name: c},{name: d},{name: e}]"),
                {"nodes[0].pfs has 5 entries"}},
        BadCase{"PfNameLong",
                node(", pfs: [{name: sixteencharacter}]"),
                {"nodes[0].pfs[0].name", "1 to 15"}},
        BadCase{"PfNameSlash", node(", pfs: [{name: ../x}]"), {"'../x'"}},
        BadCase{"PfTwice", node(", pfs: [{name: p}, {name: p}]"), {"pfs[1].name is 'p'"}},
        BadCase{"Vfs", node(", pfs: [{name: p, vfs: 8}]"), {"vfs is '8'", "0 to 7"}},
        BadCase{"Slot", node(", pfs: [{name: p, slot: 0}]"), {"slot is '0'", "1 to 16"}},
        BadCase{"SlotTwice",
                node(", pfs: [{name: p, slot: 3}, {name: q, slot: 3}]"),
                {"slot is 3", "'p'"}},
        BadCase{
            "RateMissing", link(", ends: [a/p0, b/p0]"), {"links[0].rate is missing", "40Mbit"}},
        BadCase{
            "RateWord", link(", rate: fast, ends: [a/p0, b/p0]"), {":6: links[0].rate is 'fast'"}},
        BadCase{
            "RateZero", link(", rate: 0, ends: [a/p0, b/p0]"), {"links[0].rate is '0'", "100kbit"}},
        BadCase{"RateNan", link(", rate: nan, ends: [a/p0, b/p0]"), {"links[0].rate is 'nan'"}},
        BadCase{"OneEnd", link(", rate: 1Mbit, ends: [a/p0]"), {"links[0].ends has 1 entries"}},
        BadCase{"UnknownEnd",
                link(", rate: 1Mbit, ends: [a/p0, c/p0]"),
                {"links[0].ends[1] is 'c/p0'", "a/p0, a/p1, b/p0"}},
        BadCase{"EndTwice",
                link(", rate: 1Mbit, ends: [a/p0, a/p0]"),
                {"ends[1] is 'a/p0'", "already"}},
        BadCase{"EndTaken",
                link(", rate: 1Mbit, ends: [a/p0, b/p0]}\n  - {name: m, rate: 1Mbit, ends: [a/p0, "
                     "a/p1]"),
                {":7: links[1].ends[0] is 'a/p0'", "'l'"}},
        BadCase{
            "Twins", "name: t\nnodes: [{name: a}]\ntwins: [[x, y]]", {":3: twins[0][0] is 'x'"}},
        BadCase{"TwinsOne", node(", pfs: [{name: p}]") + "\ntwins: [[p]]", {"twins[0] has 1"}},
        BadCase{"TwinsSame", node(", pfs: [{name: p}]") + "\ntwins: [[p, p]]", {"second time"}}),
    [](const auto& given) { return given.param.label; });

}  // namespace
}  // namespace railhead::lab

#include "src/agent/config.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;

constexpr const char* kFull = R"(version: 1
functions: {provision: true, rails: true, cni: false}
node: {ordinal: 1, railSetsPerNode: 4, nodes: 2}
provision:
  pfs:
    - select: {vendor: 8086, device: 0x10c9}
      vfs: 4
      mtu: 9000
      trust: true
      mac: stable
twins:
  - [enp1s0f0np0, enP2p1s0f0np0]
resources:
  - name: nvidia.com/cx7_qsfp
networks:
  - name: dgx-qsfp
    resource: nvidia.com/cx7_qsfp
    subnets: [10.100.0.0/24, [10.100.1.0/24, "fd00:1::/64"]]
    rdma: soft
)";

std::string messageOf(const std::string& text) {
  const auto parsed = parseConfig(text, "agent.yaml");
  return parsed.has_value() ? "accepted" : parsed.error().message;
}

// kFull with one line changed.
std::string with(const std::string& from, const std::string& to) {
  std::string text = kFull;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Config, ReadsEveryField) {
  const auto config = parseConfig(kFull, "agent.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_FALSE(config->functions.cni);
  EXPECT_TRUE(config->functions.rails);
  EXPECT_EQ(config->attach.addresses.nodeOrdinal, 1);
  ASSERT_EQ(config->goal.pfs.size(), 1U);
  EXPECT_EQ(config->goal.pfs[0].select.vendor, 0x8086);
  EXPECT_EQ(config->goal.pfs[0].select.device, 0x10c9);
  EXPECT_EQ(config->goal.pfs[0].vfs, 4);
  EXPECT_EQ(config->goal.pfs[0].mtu, 9000);
  EXPECT_TRUE(config->goal.pfs[0].trust->on);
  EXPECT_FALSE(config->goal.pfs[0].spoofCheck.has_value());
  EXPECT_EQ(config->twins.groups.at(0).pfs.at(1), "enP2p1s0f0np0");
  EXPECT_EQ(config->resources.at(0).name, "nvidia.com/cx7_qsfp");
  ASSERT_EQ(config->attach.networks.at(0).railSubnets.size(), 2U);
  EXPECT_EQ(config->attach.networks[0].railSubnets[1].at(1).toString(), "fd00:1::/64");
  EXPECT_EQ(config->attach.networks[0].rdma, attach::RdmaUse::kSoft);
}

TEST(Config, AnOrdinalMayBeClaimedAsALease) {
  const auto config = parseConfig(with("ordinal: 1", "ordinal: lease"), "agent.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_TRUE(config->cluster.ordinalByLease);
  EXPECT_FALSE(parseConfig(kFull, "agent.yaml")->cluster.needsApiServer());
}

TEST(Config, ASwitchTheDriverMayLackIsNotRequired) {
  const auto plain = parseConfig(with("trust: true", "trust: false"), "agent.yaml");
  ASSERT_TRUE(plain.has_value()) << plain.error().describe();
  EXPECT_FALSE(plain->goal.pfs[0].trust->on);
  EXPECT_TRUE(plain->goal.pfs[0].trust->required);
  const auto lenient =
      parseConfig(with("trust: true", "trust: {set: true, required: false}"), "agent.yaml");
  ASSERT_TRUE(lenient.has_value()) << lenient.error().describe();
  EXPECT_TRUE(lenient->goal.pfs[0].trust->on);
  EXPECT_FALSE(lenient->goal.pfs[0].trust->required);
}

TEST(Config, EveryRefusalNamesLineFieldValueAndWhatIsAllowed) {
  struct Case {
    std::string text;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases{
      {"functions: {}", {"version is missing"}},
      {with("version: 1", "version: 2"), {"agent.yaml:1", "version is '2'", "1 to 1"}},
      {with("vfs: 4", "vfs: four"),
       {"agent.yaml:7", "provision.pfs[0].vfs is 'four'", "0 to 1024"}},
      {with("      vfs: 4\n", ""), {"provision.pfs[0].vfs is missing"}},
      {with("vendor: 8086", "vendor: intel"), {"agent.yaml:6", "vendor is 'intel'", "15b3"}},
      {with("vendor: 8086", "maker: 8086"), {"select.maker is unknown", "vendor, device"}},
      {with("mac: stable", "mac: random"), {"agent.yaml:10", "mac is 'random'", "stable, keep"}},
      {with("trust: true", "trust: maybe"), {"trust is 'maybe'", "true, false"}},
      {with("trust: true", "trust: {required: false}"), {"trust.set is missing", "true, false"}},
      {with("trust: true", "trust: {set: true, must: false}"),
       {"trust.must is unknown", "required"}},
      {with("mtu: 9000", "mtu: 12"), {"mtu is '12'", "576"}},
      {with("[enp1s0f0np0, enP2p1s0f0np0]", "[enp1s0f0np0]"), {"twins[0] has 1 entry"}},
      {with("name: nvidia.com/cx7_qsfp", "name: cx7"),
       {"resources[0].name is 'cx7'", "domain/name"}},
      {with("device: 0x10c9", "pci: 1.2"),
       {"agent.yaml:6: ", "select.pci is '1.2'", "0000:01:00.0"}},
      {with("    resource: nvidia.com/cx7_qsfp", "    resource: nvidia.com/other"),
       {"agent.yaml:17: networks[0].resource is 'nvidia.com/other'",
        "allowed: nvidia.com/cx7_qsfp"}},
      {with("  - name: nvidia.com/cx7_qsfp\n", "  []\n"),
       {"agent.yaml:17: networks[0].resource is 'nvidia.com/cx7_qsfp'", "add it to resources"}},
      {with("10.100.0.0/24,", "10.100.0.0,"),
       {"agent.yaml:18: networks[0].subnets[0] is '10.100.0.0'", "10.100.0.0/24"}},
      {with("\"fd00:1::/64\"", "fd00"), {"agent.yaml:18: networks[0].subnets[1][1] is 'fd00'"}},
      {with("10.100.0.0/24,", "10.100.0.1/24,"),
       {"agent.yaml:18: networks[0].subnets[0] is 10.100.0.1/24: its host bits must be zero"}},
      {with("[10.100.1.0/24,", "[10.100.0.128/25,"),
       {"agent.yaml:18: networks[0].subnets[1] is 10.100.0.128/25: it overlaps 10.100.0.0/24"}},
      {with("10.100.0.0/24,", "10.100.0.0/30,"),
       {"agent.yaml:18: networks[0].subnets[0] 10.100.0.0/30 has 2 usable addresses"}},
      {std::string(kFull) + "  - name: dgx-qsfp\n    resource: nvidia.com/cx7_qsfp\n"
                            "    subnets: [10.101.0.0/24]\n",
       {"agent.yaml:20: networks[1].name is 'dgx-qsfp': networks[0] has this name already"}},
      {with("rdma: soft", "mtu: 1000"), {"agent.yaml:19: networks[0].mtu is 1000: 1280 to 65520"}},
      {with("ordinal: 1", "ordinal: 2"),
       {"agent.yaml:3: node.ordinal is '2'; allowed: 0 to 1, since nodes is 2"}},
      {with("rdma: soft", "rdma: yes"), {"networks[0].rdma is 'yes'", "none, device, soft"}},
      {with("ordinal: 1", "ordinal: -1"), {"node.ordinal is '-1'; allowed: 0 to 65535, or lease"}},
      {"version: 1\nmetrics: {listen: localhost:9477}",
       {"agent.yaml:2: metrics.listen is 'localhost:9477'", "127.0.0.1:9477"}},
      {"version: 1\nmetrics: {listen: '127.0.0.1:0'}", {"metrics.listen is '127.0.0.1:0'"}},
      {"version: 1\ncni: {file: 00-a.conf}",
       {"agent.yaml:2: cni.file is '00-a.conf'", "ending in .conflist"}},
      {"version: 1\ncni: {primary: ../x.conflist}", {"cni.primary is '../x.conflist'"}},
      {"version: 1\ncni: {primary: 00-railhead.conflist}", {"another file than cni.file"}},
      {"version: 1\nbogus: 1", {"agent.yaml:2", "bogus is unknown", "provision"}},
      {"version: [", {"agent.yaml:"}},
  };
  for (const auto& one : cases) {
    const std::string message = messageOf(one.text);
    for (const auto& part : one.parts) EXPECT_THAT(message, HasSubstr(part)) << one.text;
  }
}

// The example of docs/reference/agent-config.md, with what it shows commented out as well.
TEST(Config, TheReferencePageIsTrue) {
  std::ifstream page("docs/reference/agent-config.md");
  ASSERT_TRUE(page) << "run from the source folder";
  std::string line;
  std::string example;
  bool inside = false;
  while (std::getline(page, line)) {
    if (line.starts_with("```")) {
      inside = line == "```yaml";
      continue;
    }
    if (inside) example += line + "\n";
  }
  const auto config = parseConfig(example, "page");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->goal.pfs.at(0).vfs, 4);
  EXPECT_EQ(config->attach.networks.at(0).name, "dgx-qsfp");
  EXPECT_EQ(config->attach.networks.at(0).railSubnets.size(), 2U);
}

}  // namespace
}  // namespace railhead::agent

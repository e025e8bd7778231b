#include "src/discover/memory.h"

#include "src/discover/twins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::discover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// One cage: the twins report a port and a switch.
Node rememberedSpark() {
  Node node;
  for (const std::uint32_t domain : {0U, 2U}) {
    Pf pf;
    pf.pci = {domain, 1, 0, 0};
    pf.vendor = 0x15b3;
    pf.device = 0x1021;
    pf.driver = "mlx5_core";
    pf.netdev = domain == 0 ? "enp1s0f0np0" : "enP2p1s0f0np0";
    pf.linkType = LinkType::kEthernet;
    pf.physPortName = "p0";
    pf.physSwitchId = "aa";
    for (int i = 0; i < 2; ++i) {
      Vf vf;
      vf.pci = {domain, 1, 0, static_cast<std::uint8_t>(2 + i)};
      vf.index = i;
      vf.driver = "mlx5_core";
      vf.netdev = pf.netdev + "v" + std::to_string(i);
      vf.rdma = {{"roce" + std::to_string(i), "uverbs0", {}, "ACTIVE"}};
      pf.vfs.push_back(vf);
    }
    node.pfs.push_back(pf);
  }
  return node;
}

// Its driver was unbound: no netdev, no VFs, nothing but an address and ids.
void silence(Pf& pf) {
  Pf silent;
  silent.pci = pf.pci;
  silent.vendor = pf.vendor;
  silent.device = pf.device;
  pf = silent;
}

std::vector<std::string> idsOf(const Node& node, const NodeMemory& memory,
                               const TwinRules& rules = {}) {
  const Node whole = memory.complete(node);
  std::vector<std::string> ids;
  for (const RailSet& set : railSets(whole, pairTwins(whole, rules)).offered) ids.push_back(set.id);
  return ids;
}

TEST(NodeMemory, ACageIsNotMadeAnewWithoutATwinThatIsSilentOrGone) {
  NodeMemory memory;
  Node node = rememberedSpark();
  memory.learn(node);
  const auto before = idsOf(node, memory);
  ASSERT_THAT(before, SizeIs(2));
  silence(node.pfs[1]);
  memory.learn(node);
  EXPECT_EQ(idsOf(node, memory), before);
  node.pfs.pop_back();
  memory.learn(node);
  EXPECT_EQ(idsOf(node, memory), before);
  // Over a restart of the agent, too, and not over a boot.
  const std::string kept = memory.encode("boot-1");
  const auto later = NodeMemory::decode(kept, "boot-1");
  ASSERT_TRUE(later.has_value()) << later.error().message;
  EXPECT_EQ(idsOf(node, *later), before);
  EXPECT_EQ(later->encode("boot-1"), kept);
  EXPECT_EQ(NodeMemory::decode(kept, "boot-2").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(idsOf(node, {}), SizeIs(2)) << "of one rail each, by one who never saw the other";
}

TEST(NodeMemory, APfThatShowsItselfCountsAsItIs) {
  NodeMemory memory;
  Node node = rememberedSpark();
  memory.learn(node);
  // Somebody took its VFs away: they are not remembered.
  node.pfs[1].vfs.clear();
  memory.learn(node);
  EXPECT_THAT(idsOf(node, memory), IsEmpty());
  // The cable's other end moved to another port of the switch.
  node = rememberedSpark();
  node.pfs[1].physPortName = "p1";
  memory.learn(node);
  EXPECT_THAT(idsOf(node, memory), SizeIs(4));
  // Another card in the same slot is another PF.
  node.pfs[1].device = 0x1019;
  silence(node.pfs[1]);
  memory.learn(node);
  EXPECT_EQ(memory.complete(node).pfs[1].netdev, "");
}

TEST(NodeMemory, ANamedPfIsFoundUnderANewName) {
  NodeMemory memory;
  const TwinRules rules{{{"twins[0]", {"enp1s0f0np0", "enP2p1s0f0np0"}}}};
  Node node = rememberedSpark();
  memory.learn(node);
  const auto before = idsOf(node, memory, rules);
  node.pfs[0].netdev = "eth5";
  memory.learn(node);
  EXPECT_EQ(idsOf(node, memory, rules), before);
  // The name was given to another one meanwhile.
  Pf other = node.pfs[0];
  other.pci = *PciAddress::parse("0003:01:00.0");
  other.netdev = "enp1s0f0np0";
  other.physPortName.clear();
  other.vfs[0].pci = *PciAddress::parse("0003:01:00.2");
  other.vfs[1].pci = *PciAddress::parse("0003:01:00.3");
  node.pfs.push_back(other);
  memory.learn(node);
  EXPECT_THAT(idsOf(node, memory, rules), testing::Contains("0003:01:00.2+0002:01:00.2"));
}

TEST(NodeMemory, AVfWithoutItsDriverIsWhatItWas) {
  NodeMemory memory;
  Node node = rememberedSpark();
  memory.learn(node);
  Vf& vf = node.pfs[0].vfs[1];
  vf.driver.clear();
  vf.netdev.clear();
  vf.rdma.clear();
  memory.learn(node);
  const Node whole = memory.complete(node);
  EXPECT_EQ(whole.pfs[0].vfs[1].driver, "mlx5_core");
  EXPECT_EQ(whole.pfs[0].vfs[1].rdma.at(0).name, "roce1");
  EXPECT_NE(whole.pfs[0].vfs[1].netdev, "") << "else it would count as one that is in a pod";
  // In a pod it shows its driver and no netdev; that stays as it is seen.
  node.pfs[0].vfs[1].driver = "mlx5_core";
  EXPECT_EQ(memory.complete(node).pfs[0].vfs[1].netdev, "");
}

TEST(NodeMemory, KeepsIndexesAndRefusesWhatItDidNotWrite) {
  NodeMemory memory;
  memory.learn(rememberedSpark());
  memory.waitedForSilent = true;
  EXPECT_EQ(memory.indexes.of({*PciAddress::parse("0000:01:00.0"), 1}, 5), 5);
  EXPECT_EQ(memory.indexes.of({*PciAddress::parse("0000:01:00.0"), 2}, 5), 0)
      << "the lowest that is free";
  const std::string text = memory.encode("b");
  auto again = NodeMemory::decode(text, "b");
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->waitedForSilent);
  EXPECT_EQ(again->indexes.of({*PciAddress::parse("0000:01:00.0"), 1}, 0), 5);
  for (const std::string& wrong :
       {std::string(), std::string("[]"), std::string("{\"format\": 2}"),
        text.substr(0, text.size() / 2), std::string("{\"format\": 1, \"boot\": \"b\"}")}) {
    const auto refused = NodeMemory::decode(wrong, "b");
    ASSERT_FALSE(refused.has_value()) << wrong;
    EXPECT_THAT(refused.error().message, HasSubstr("cannot be read"));
  }
  std::string badAddress = text;
  badAddress.replace(badAddress.find("0000:01:00.0"), 12, "0000:01:00.z");
  EXPECT_FALSE(NodeMemory::decode(badAddress, "b").has_value());
}

}  // namespace
}  // namespace railhead::discover

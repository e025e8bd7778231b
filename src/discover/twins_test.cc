#include "src/discover/twins.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::discover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

PciAddress at(const std::string& text) { return *PciAddress::parse(text); }

Pf pf(const std::string& pci, const std::string& netdev, const std::string& port = "",
      const std::string& switchId = "", int vfs = 0) {
  Pf pf;
  pf.pci = at(pci);
  pf.netdev = netdev;
  pf.physPortName = port;
  pf.physSwitchId = switchId;
  for (int i = 0; i < vfs; ++i) {
    Vf vf;
    vf.pci = pf.pci;
    vf.pci.device = static_cast<std::uint8_t>(0x10 + i);
    vf.index = i;
    pf.vfs.push_back(vf);
  }
  return pf;
}

Node spark() {
  Node node;
  node.pfs = {pf("0000:01:00.0", "enp1s0f0np0", "p0", "aa", 4),
              pf("0000:01:00.1", "enp1s0f1np1", "p1", "aa"),
              pf("0002:01:00.0", "enP2p1s0f0np0", "p0", "aa", 4),
              pf("0002:01:00.1", "enP2p1s0f1np1", "p1", "aa")};
  return node;
}

Node emulated() {
  Node node;
  node.pfs = {pf("0000:01:00.0", "enp1s0f0np0", "", "", 2),
              pf("0000:02:00.0", "enP2p1s0f0np0", "", "", 2),
              pf("0000:03:00.0", "eth7", "", "", 1)};
  return node;
}

std::vector<std::vector<std::string>> shape(const Cages& cages) {
  std::vector<std::vector<std::string>> result;
  for (const Cage& cage : cages.cages) {
    result.emplace_back();
    for (const auto& pci : cage.pfs) result.back().push_back(pci.toString());
  }
  return result;
}

TEST(Twins, FollowWhatTheDriverReports) {
  const Cages cages = pairTwins(spark(), {});
  EXPECT_THAT(shape(cages), ElementsAre(ElementsAre("0000:01:00.0", "0002:01:00.0"),
                                        ElementsAre("0000:01:00.1", "0002:01:00.1")));
  EXPECT_THAT(cages.notes, IsEmpty());
}

TEST(Twins, NeverFollowAddresses) {
  Node node = spark();
  node.pfs[2].physPortName = "p1";
  node.pfs[3].physPortName = "p0";
  EXPECT_THAT(shape(pairTwins(node, {})), ElementsAre(ElementsAre("0000:01:00.0", "0002:01:00.1"),
                                                      ElementsAre("0000:01:00.1", "0002:01:00.0")));
  node.pfs[2].physSwitchId = "bb";
  EXPECT_THAT(shape(pairTwins(node, {})), SizeIs(3));
}

TEST(Twins, OfOneDomainAreNotPaired) {
  Node node = spark();
  node.pfs.resize(2);
  node.pfs[1].physPortName = "p0";
  const Cages cages = pairTwins(node, {});
  EXPECT_THAT(shape(cages), ElementsAre(ElementsAre("0000:01:00.0"), ElementsAre("0000:01:00.1")));
  EXPECT_THAT(cages.notes, ElementsAre(HasSubstr("share a PCI domain")));
}

TEST(Twins, GivenByHandKeepTheirOrderAndWin) {
  const TwinRules rules{{{"twins[0]", {"enP2p1s0f0np0", "0000:01:00.0"}}}};
  EXPECT_THAT(
      shape(pairTwins(emulated(), rules)),
      ElementsAre(ElementsAre("0000:02:00.0", "0000:01:00.0"), ElementsAre("0000:03:00.0")));
  EXPECT_THAT(shape(pairTwins(emulated(), {})), SizeIs(3));
  // The partner the driver would have named stays alone.
  const TwinRules cross{{{"twins[0]", {"enp1s0f0np0", "enP2p1s0f1np1"}}}};
  EXPECT_THAT(shape(pairTwins(spark(), cross)),
              ElementsAre(ElementsAre("0000:01:00.0", "0002:01:00.1"), ElementsAre("0000:01:00.1"),
                          ElementsAre("0002:01:00.0")));
}

TEST(Twins, WhoseRuleDoesNotHoldAreWithheldAndTheOthersGoOn) {
  const auto refusal = [](const Node& node, std::vector<TwinRules::Group> groups) {
    const Cages cages = pairTwins(node, {std::move(groups)});
    EXPECT_THAT(cages.refused, SizeIs(1));
    return cages.refused.empty() ? Error() : cages.refused.front();
  };
  const Error missing = refusal(emulated(), {{"twins[0]", {"enp1s0f0np0", "eth9"}}});
  EXPECT_EQ(missing.code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.message, HasSubstr("twins[0] names 'eth9'"));
  EXPECT_THAT(missing.message, HasSubstr("enP2p1s0f0np0 (0000:02:00.0)"));
  const Error twice = refusal(emulated(), {{"twins[0]", {"enp1s0f0np0", "enP2p1s0f0np0"}},
                                           {"twins[1]", {"eth7", "0000:02:00.0"}}});
  EXPECT_EQ(twice.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(twice.message, HasSubstr("is in twins[0] already"));
  EXPECT_EQ(refusal(emulated(), {{"twins[0]", {"eth7", "eth7"}}}).code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(emulated(), {{"twins[0]", {"eth7"}}}).code, ErrorCode::kInvalidArgument);
  const Error functions = refusal(spark(), {{"twins[0]", {"enp1s0f0np0", "enp1s0f1np1"}}});
  EXPECT_THAT(functions.message, HasSubstr("two functions of one device"));
  EXPECT_EQ(refusal({}, {{"twins[0]", {"a", ""}}}).code, ErrorCode::kNotFound);

  const Node node = emulated();
  const Cages cages = pairTwins(node, {{{"twins[0]", {"enp1s0f0np0", "eth9"}}}});
  EXPECT_THAT(shape(cages), ElementsAre(ElementsAre("0000:01:00.0"), ElementsAre("0000:02:00.0"),
                                        ElementsAre("0000:03:00.0")));
  const RailSets sets = railSets(node, cages);
  EXPECT_THAT(sets.offered, SizeIs(3)) << "of the two PFs that no rule names";
  ASSERT_THAT(sets.withheld, SizeIs(2));
  EXPECT_THAT(sets.withheld[0].reason, HasSubstr("twins[0] names 'eth9': no such PF"));
  EXPECT_THAT(sets.singles, SizeIs(3));
}

// At boot: the second domain's driver is not up yet.
TEST(Twins, APfThatIsSilentMayBeOneOfThose) {
  Node node = spark();
  node.pfs[2] = pf("0002:01:00.0", "");
  const Cages early = pairTwins(node, {}, SilentPfs::kMayBeTwins);
  const RailSets none = railSets(node, early);
  EXPECT_THAT(none.offered, IsEmpty());
  EXPECT_THAT(none.singles, IsEmpty()) << "net1 or net2: nobody knows";
  ASSERT_THAT(none.withheld, SizeIs(4));
  EXPECT_THAT(none.withheld[0].reason,
              HasSubstr("PF 0002:01:00.0 has no netdev yet, and may be the twin of enp1s0f0np0"));
  // Waited for long enough; and a PF of another kind is nobody's twin.
  const Cages late = pairTwins(node, {}, SilentPfs::kStandAlone);
  EXPECT_THAT(railSets(node, late).offered, SizeIs(4));
  EXPECT_THAT(late.notes, testing::Contains(HasSubstr("not waited for any longer")));
  node.pfs[2].vendor = 0x8086;
  EXPECT_THAT(railSets(node, pairTwins(node, {}, SilentPfs::kMayBeTwins)).offered, SizeIs(4));
  // A cage that is whole waits for nobody, and one made by hand neither.
  node = spark();
  node.pfs[3] = pf("0002:01:00.1", "");
  EXPECT_THAT(railSets(node, pairTwins(node, {}, SilentPfs::kMayBeTwins)).offered, SizeIs(4));
}

TEST(RailSets, TakeOneVfOfEachTwin) {
  const Node node = spark();
  const RailSets sets = railSets(node, pairTwins(node, {}));
  ASSERT_THAT(sets.offered, SizeIs(4));
  EXPECT_THAT(sets.withheld, IsEmpty());
  const RailSet& set = sets.offered[2];
  EXPECT_EQ(set.id, "0000:01:12.0+0002:01:12.0");
  EXPECT_EQ(set.index, 2);
  ASSERT_THAT(set.rails, SizeIs(2));
  EXPECT_EQ(set.rails[1].cage, 1);
  EXPECT_EQ(set.rails[1].vfIndex, 2);
  EXPECT_EQ(set.rails[1].pf, at("0002:01:00.0"));
}

TEST(RailSets, OfAPfWithoutTwinsHaveOneRail) {
  const Node node = emulated();
  const RailSets sets = railSets(node, pairTwins(node, {}));
  ASSERT_THAT(sets.offered, SizeIs(5));
  EXPECT_EQ(sets.offered[4].id, "0000:03:10.0");
  EXPECT_EQ(sets.offered[4].index, 4);
  EXPECT_THAT(sets.offered[4].rails, SizeIs(1));
}

TEST(RailSets, WithAMissingVfAreWithheldAndKeepTheirIndex) {
  Node node = spark();
  const Cages cages = pairTwins(node, {});
  node.pfs[2].vfs.erase(node.pfs[2].vfs.begin() + 1);
  RailSets sets = railSets(node, cages);
  ASSERT_THAT(sets.offered, SizeIs(3));
  EXPECT_EQ(sets.offered[1].index, 2);
  ASSERT_THAT(sets.withheld, SizeIs(1));
  EXPECT_EQ(sets.withheld[0].index, 1);
  EXPECT_THAT(sets.withheld[0].reason, HasSubstr("VF 1 is missing on enP2p1s0f0np0"));
  EXPECT_THAT(sets.singles, SizeIs(7)) << "a VF without its twin is a rail all the same";
}

// A number that was given stays: the address of a pod hangs on it.
TEST(RailSets, KeepTheirIndexWhenOthersComeToBe) {
  Node node = emulated();
  RailIndexes indexes;
  const auto indexOf = [&](const RailSets& sets, const std::string& id) {
    for (const RailSet& set : sets.offered) {
      if (set.id == id) return set.index;
    }
    return -1;
  };
  RailSets sets = railSets(node, pairTwins(node, {}), 2, &indexes);
  EXPECT_EQ(indexOf(sets, "0000:02:11.0"), 3);
  // Twice as many VFs each, by a reload; the second PF's were held, so it has two still.
  node.pfs[0] = pf("0000:01:00.0", "enp1s0f0np0", "", "", 4);
  sets = railSets(node, pairTwins(node, {}), 4, &indexes);
  EXPECT_EQ(indexOf(sets, "0000:01:11.0"), 1);
  EXPECT_EQ(indexOf(sets, "0000:02:10.0"), 2);
  EXPECT_EQ(indexOf(sets, "0000:02:11.0"), 3);
  std::set<int> all;
  for (const RailSet& set : sets.offered) EXPECT_TRUE(all.insert(set.index).second) << set.id;
  // What is gone gives its number back.
  node.pfs[1].vfs.clear();
  railSets(node, pairTwins(node, {}), 4, &indexes);
  node.pfs[1] = pf("0000:02:00.0", "enP2p1s0f0np0", "", "", 4);
  sets = railSets(node, pairTwins(node, {}), 4, &indexes);
  EXPECT_EQ(sets.offered.size(), 9U);
  all.clear();
  for (const RailSet& set : sets.offered) EXPECT_TRUE(all.insert(set.index).second) << set.id;
}

}  // namespace
}  // namespace railhead::discover

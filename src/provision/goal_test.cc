#include "src/provision/goal.h"

#include "src/provision/mac_policy.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::provision {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

discover::Pf pf(const std::string& pci, const std::string& name, const std::string& port) {
  discover::Pf pf;
  pf.pci = *PciAddress::parse(pci);
  pf.vendor = 0x15b3;
  pf.device = 0x1021;
  pf.driver = "mlx5_core";
  pf.netdev = name;
  pf.physPortName = port;
  pf.totalVfs = 16;
  return pf;
}

discover::Node spark() {
  discover::Node node;
  node.pfs = {pf("0000:01:00.0", "enp1s0f0np0", "p0"), pf("0000:01:00.1", "enp1s0f1np1", "p1"),
              pf("0002:01:00.0", "enP2p1s0f0np0", "p0")};
  discover::PciFunction plain;
  plain.pci = *PciAddress::parse("0007:01:00.0");
  plain.netdev = "enP7s7";
  plain.driver = "r8127";
  plain.vendor = 0x10ec;
  node.otherNics = {plain};
  return node;
}

PfGoal goal(PfSelector select) {
  PfGoal goal;
  goal.field = "provision.pfs[0]";
  goal.select = std::move(select);
  goal.vfs = 4;
  return goal;
}

TEST(Selector, JoinsItsConditionsWithAnd) {
  const discover::Node node = spark();
  const auto count = [&](PfSelector select) {
    auto selected = selectPfs({{goal(std::move(select))}}, node);
    return selected.has_value() ? selected->size() : 0;
  };
  EXPECT_EQ(count({}), 3U);
  EXPECT_EQ(count({.vendor = 0x15b3, .device = 0x1021}), 3U);
  EXPECT_EQ(count({.port = "p0"}), 2U);
  EXPECT_EQ(count({.driver = "mlx5_core", .name = "enP2p1s0f0np0", .port = "p0"}), 1U);
  EXPECT_EQ(count({.pci = PciAddress{0, 1, 0, 1}}), 1U);
  EXPECT_EQ(count({.pci = PciAddress{0, 1, 0, 1}, .port = "p0"}), 0U);
  EXPECT_EQ(count({.vendor = 0x8086}), 0U);
}

TEST(Selector, SaysWhatTheNodeHasWhenNothingMatches) {
  const auto missing = selectPfs({{goal({.vendor = 0x8086, .port = "p9"})}}, spark());
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message,
              HasSubstr("provision.pfs[0] selects vendor 0x8086, port 'p9': no PF"));
  EXPECT_THAT(missing.error().message, HasSubstr("enp1s0f0np0 0000:01:00.0 0x15b3:1021 mlx5_core"));
  const auto plain = selectPfs({{goal({.name = "enP7s7"})}}, spark());
  ASSERT_FALSE(plain.has_value());
  EXPECT_EQ(plain.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(plain.error().message, HasSubstr("has no SR-IOV"));
  PfGoal tolerant = goal({.vendor = 0x8086});
  tolerant.mayBeAbsent = true;
  EXPECT_THAT(*selectPfs({{tolerant}}, spark()), IsEmpty());
  EXPECT_THAT(selectPfs({{goal({})}}, {}).error().message, HasSubstr("it has none"));
}

TEST(Selector, RefusesTwoGoalsForOnePf) {
  Goal both{{goal({.port = "p0"}), goal({.name = "enp1s0f0np0"})}};
  both.pfs[1].field = "provision.pfs[1]";
  const auto selected = selectPfs(both, spark());
  ASSERT_FALSE(selected.has_value());
  EXPECT_EQ(selected.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(selected.error().message, HasSubstr("is selected by provision.pfs[0] already"));
  both.pfs[1].select = {.port = "p1"};
  EXPECT_THAT(*selectPfs(both, spark()), SizeIs(3));
}

TEST(CheckGoal, NamesFieldValueAndRange) {
  const auto refusal = [](int vfs, int mtu) {
    PfGoal pf = goal({});
    pf.vfs = vfs;
    pf.mtu = mtu;
    auto checked = checkGoal({{pf}});
    return checked.has_value() ? std::string() : checked.error().message;
  };
  EXPECT_THAT(refusal(4, 9000), IsEmpty());
  EXPECT_THAT(refusal(0, 0), IsEmpty());
  EXPECT_EQ(refusal(-1, 0), "provision.pfs[0].vfs is -1: allowed is 0 (none) to 1024");
  EXPECT_EQ(refusal(4, 70000),
            "provision.pfs[0].mtu is 70000: allowed is 0 (leave it) or 576 to 65535");
  EXPECT_FALSE(checkGoal({std::vector<PfGoal>(65, goal({}))}).has_value());
}

TEST(MacPolicy, IsStableLocalAndUnlikeItsNeighbours) {
  const Mac base = *Mac::parse("4c:bb:47:00:00:01");
  EXPECT_EQ(stableVfMac(base, 0), stableVfMac(base, 0));
  // A change of this value moves the addresses of every running cluster.
  EXPECT_EQ(stableVfMac(base, 0).toString(), "d2:57:cc:0e:d5:b2");
  std::set<Mac> seen;
  Mac mac = base;
  for (int pf = 0; pf < 256; ++pf) {
    mac.bytes[5] = static_cast<std::uint8_t>(pf);
    for (int vf = 0; vf < 16; ++vf) {
      const Mac made = stableVfMac(mac, vf);
      EXPECT_TRUE(made.isLocallyAdministered());
      EXPECT_FALSE(made.isMulticast());
      seen.insert(made);
    }
  }
  const PciAddress pci{2, 1, 0, 0};
  for (const char* host : {"spark-a", "spark-b"}) {
    for (int vf = 0; vf < 16; ++vf) seen.insert(stableVfMac(host, pci, vf));
  }
  EXPECT_THAT(seen, SizeIs(256 * 16 + 32));
}

}  // namespace
}  // namespace railhead::provision

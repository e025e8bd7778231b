// From any node to its goal.
#include "tests/support/provision_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::provision {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class ProvisionTest : public testing::TestWithParam<bool> {
 protected:
  Bench bench_{GetParam()};
  Goal goal_{{pfGoal(4)}};
};

INSTANTIATE_TEST_SUITE_P(Drivers, ProvisionTest, testing::Values(false, true),
                         [](const auto& driver) { return driver.param ? "mlx5" : "igb"; });

TEST_P(ProvisionTest, BringsABareNodeToItsGoal) {
  const ApplyReport report = bench_.apply(goal_);
  expectAsWanted(bench_, 4);
  EXPECT_THAT(report.node.pfs.at(1).vfs, SizeIs(4));
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_THAT(report.untouched, IsEmpty());
  EXPECT_THAT(report.changes, Contains("enp1s0f0np0: make 4 VFs (now 0)"));
  EXPECT_THAT(report.changes, Contains("enP2p1s0f0np0: MTU 9000 (was 1500)"));
  // The order of what the kernel was asked for, on the first PF.
  const auto log = bench_.kernel.log();
  const auto at = [&](const std::string& text) {
    for (std::size_t i = 0; i < log.size(); ++i) {
      if (log[i].find(text) != std::string::npos) return static_cast<int>(i);
    }
    return -1;
  };
  EXPECT_LT(at("set up link enp1s0f0np0"), at("sriov_numvfs"));
  EXPECT_LT(at("sriov_numvfs"), at("set VF 0 on enp1s0f0np0: mac"));
  EXPECT_LT(at("set VF 3 on enp1s0f0np0: trust on"), at("drivers_probe"));
  EXPECT_EQ(at("unbind"), -1);
  EXPECT_LT(at("drivers_probe"), at("change link enp1s0f0np0v0: mtu 9000"));
  EXPECT_GE(at("set up link enp1s0f0np0"), 0);
}

TEST_P(ProvisionTest, WritesNothingWhereTheGoalHolds) {
  bench_.apply(goal_);
  bench_.kernel.revive();
  const ApplyReport report = bench_.apply(goal_);
  EXPECT_EQ(bench_.kernel.operations(), 0);
  EXPECT_THAT(bench_.kernel.log(), IsEmpty());
  EXPECT_THAT(report.changes, IsEmpty());
  EXPECT_TRUE(bench_.provisioner().plan(goal_)->empty());
}

TEST_P(ProvisionTest, ShowsThePlanAndWritesNothing) {
  const auto plan = bench_.provisioner().plan(goal_);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(bench_.kernel.operations(), 0);
  const auto lines = plan->lines();
  EXPECT_EQ(lines.at(0), "enp1s0f0np0: bring up");
  EXPECT_THAT(lines, Contains("enP2p1s0f0np0 VF 2: trust on"));
  EXPECT_THAT(lines, Contains("enp1s0f0np0 VF 0: bind its driver"));
  EXPECT_THAT(lines, Each(Not(HasSubstr("\n"))));
}

TEST_P(ProvisionTest, KeepsItsMacsOverAnyHistory) {
  bench_.apply(goal_);
  const Mac first = bench_.kernel.link("enp1s0f0np0v3")->mac;
  Goal two = goal_;
  two.pfs[0].vfs = 2;
  bench_.apply(two);
  expectAsWanted(bench_, 2);
  bench_.apply(goal_);
  EXPECT_EQ(bench_.kernel.link("enp1s0f0np0v3")->mac, first);
  Bench other(GetParam());
  other.apply(goal_);
  EXPECT_EQ(other.kernel.link("enp1s0f0np0v3")->mac, first);
}

TEST_P(ProvisionTest, RepairsWhatWasChangedSince) {
  bench_.apply(goal_);
  auto links = std::move(*bench_.kernel.openLinks(nullptr));
  const int pf = links->link("enp1s0f0np0")->index;
  ASSERT_TRUE(links->changeVf(pf, 1, {.mac = *Mac::parse("02:00:00:00:00:01")}).has_value());
  ASSERT_TRUE(links->changeVf(pf, 2, {.trust = false}).has_value());
  ASSERT_TRUE(links->change(links->link("enp1s0f0np0v0")->index, {.mtu = 1500}).has_value());
  ASSERT_TRUE(links->change(pf, {.up = false}).has_value());
  const std::string address = *bench_.kernel.files().linkName(
      bench_.kernel.paths().pciDevice(bench_.kernel.link("enp1s0f0np0")->pci) + "/virtfn3");
  ASSERT_TRUE(bench_.kernel.files()
                  .writeFile(bench_.kernel.paths().pciDevice(address) + "/driver/unbind", address)
                  .has_value());
  bench_.kernel.revive();
  const ApplyReport report = bench_.apply(goal_);
  expectAsWanted(bench_, 4);
  EXPECT_THAT(report.changes, Contains(HasSubstr("VF 3: bind its driver (it has none)")));
  EXPECT_THAT(report.changes, Contains("enp1s0f0np0 VF 0: MTU 9000 (was 1500)"));
  EXPECT_THAT(bench_.kernel.log(), Each(Not(HasSubstr("sriov_numvfs"))));
  EXPECT_THAT(bench_.kernel.log(), Each(Not(HasSubstr("enP2p1s0f0np0"))));
}

// The heart of it: stopped before any change whatever, the next run ends right.
TEST_P(ProvisionTest, TurnsAutoprobeOnWhenItIsNeededAndOffAgain) {
  const std::string pf = bench_.kernel.link("enp1s0f0np0")->pci;
  bench_.write(pf, "sriov_drivers_autoprobe", "0");
  bench_.write(pf, "sriov_numvfs", "4");
  const ApplyReport report = bench_.apply(goal_);
  expectAsWanted(bench_, 4);
  EXPECT_THAT(report.changes, Contains(HasSubstr("sriov_drivers_autoprobe 1")));
  EXPECT_EQ(*bench_.kernel.files().readTrimmed(bench_.kernel.paths().pciDevice(pf) +
                                               "/sriov_drivers_autoprobe"),
            "0");
  EXPECT_TRUE(bench_.provisioner().plan(goal_)->empty());
}

TEST_P(ProvisionTest, RemovesVfsWhenNoneAreWanted) {
  bench_.apply(goal_);
  Goal none = goal_;
  none.pfs[0].vfs = 0;
  bench_.kernel.revive();
  bench_.apply(none);
  EXPECT_FALSE(bench_.kernel.link("enp1s0f0np0v0").has_value());
  EXPECT_EQ(bench_.kernel.operations(), 2);
  bench_.apply(none);
  EXPECT_EQ(bench_.kernel.operations(), 2);
}

TEST_P(ProvisionTest, KeepsUsableMacsWhenAskedTo) {
  goal_.pfs[0].mac = MacPolicy::kKeep;
  bench_.apply(goal_);
  const auto mac = [&](int vf) {
    return bench_.kernel.link("enp1s0f0np0v" + std::to_string(vf))->mac;
  };
  const Mac pfMac = bench_.kernel.link("enp1s0f0np0")->mac;
  // igb's VFs bring an address; mlx5's node GUID needs one from the PF.
  EXPECT_EQ(mac(0) == stableVfMac(pfMac, 0), GetParam());
  for (const auto& device : bench_.kernel.rdmaDevices()) EXPECT_FALSE(device.guid.isZero());
  auto links = std::move(*bench_.kernel.openLinks(nullptr));
  const int pf = links->link("enp1s0f0np0")->index;
  const Mac own = *Mac::parse("02:00:00:00:00:77");
  ASSERT_TRUE(links->changeVf(pf, 1, {.mac = own}).has_value());
  bench_.apply(goal_);
  EXPECT_EQ(mac(1), own);
  // Given twice, it serves nobody.
  ASSERT_TRUE(links->changeVf(pf, 2, {.mac = own}).has_value());
  bench_.apply(goal_);
  EXPECT_EQ(mac(1), stableVfMac(pfMac, 1));
  EXPECT_EQ(mac(2), stableVfMac(pfMac, 2));
  bench_.kernel.revive();
  bench_.apply(goal_);
  EXPECT_EQ(bench_.kernel.operations(), 0);
}

TEST(Provision, GivesDifferentMacsWhenPfsHaveNone) {
  FakeKernel kernel;
  for (const int bus : {1, 2}) {
    FakePfSpec spec = igb(bus, "pf" + std::to_string(bus));
    spec.mac = "00:00:00:00:00:00";
    kernel.addPf(spec);
  }
  kernel.memory().put("/proc/sys/kernel/hostname", "lab-0\n");
  ManualClock clock;
  StatedHolders nobody;
  Provisioner provisioner({kernel.files(), kernel.paths(), kernel, clock, nobody});
  auto report = provisioner.apply({{pfGoal(1)}});
  ASSERT_TRUE(report.has_value() && report->ok());
  EXPECT_EQ(kernel.link("pf1v0")->mac, stableVfMac("lab-0", PciAddress{0, 1, 0, 0}, 0));
  EXPECT_EQ(kernel.link("pf2v0")->mac, stableVfMac("lab-0", PciAddress{0, 2, 0, 0}, 0));
}

TEST(Provision, WarnsAboutSwitchesTheDriverLacks) {
  Bench bench;
  FakePfSpec spec = igb(3, "old");
  spec.trustSupported = spec.spoofCheckSupported = false;
  bench.kernel.addPf(spec);
  PfGoal goal = pfGoal(2);
  goal.select.name = "old";
  goal.spoofCheck.reset();
  goal.trust = VfSwitch{true, false};
  const ApplyReport report = bench.apply({{goal}});
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("old VF 0: trust on: the PF's driver cannot"),
                                           HasSubstr("old VF 1: trust on")));
  EXPECT_EQ(bench.kernel
                .link("old"
                      "v1")
                ->mtu,
            9000);
  goal.trust->required = true;
  const Error refused = bench.failure({{goal}});
  EXPECT_EQ(refused.code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.remedy, HasSubstr("leave out provision.pfs[0].trust"));
}

TEST(Provision, RefusesWhatTheNodeCannotDo) {
  Bench bench;
  FakePfSpec spec = igb(3, "bare");
  spec.vfDriver = "";
  bench.kernel.addPf(spec);
  const auto before = bench.kernel.snapshot();
  PfGoal goal = pfGoal(8);
  const Error tooMany = bench.failure({{goal}});
  EXPECT_EQ(tooMany.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(tooMany.message,
              HasSubstr("provision.pfs[0].vfs is 8: enp1s0f0np0 (0000:01:00.0) allows 0 to 7"));
  goal.vfs = 4;
  goal.select.name = "enp9";
  EXPECT_EQ(bench.failure({{goal}}).code, ErrorCode::kNotFound);
  goal.select.name.reset();
  goal.mtu = 100;
  EXPECT_THAT(bench.failure({{goal}}).message, HasSubstr("provision.pfs[0].mtu is 100"));
  EXPECT_EQ(bench.kernel.snapshot(), before);
  EXPECT_EQ(bench.kernel.operations(), 0);
  // Within the general range, beyond this driver's.
  goal.mtu = 9500;
  goal.select.name = "enp1s0f0np0";
  const Error mtu = bench.failure({{goal}});
  EXPECT_EQ(mtu.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(mtu.remedy, HasSubstr("lower provision.pfs[0].mtu"));
  goal.mtu = 9000;
  goal.select.name = "bare";
  const Error noDriver = bench.failure({{goal}});
  EXPECT_EQ(noDriver.code, ErrorCode::kEnvironment);
  EXPECT_THAT(noDriver.message, HasSubstr("no driver took VF 0000:03:10.0"));
  EXPECT_THAT(noDriver.remedy, HasSubstr("load the VF's driver"));
}

TEST(Provision, SaysWhenAPfHasNoDriverOrNoNetdev) {
  Bench bench;
  PfGoal goal = pfGoal(4);
  goal.select.name.reset();
  goal.select.pci = PciAddress{0, 2, 0, 0};
  bench.moveToPod("enP2p1s0f0np0");
  EXPECT_THAT(bench.failure({{goal}}).message, HasSubstr("no netdev in this namespace"));
  goal.select.pci = PciAddress{0, 1, 0, 0};
  bench.write("0000:01:00.0", "driver/unbind", "0000:01:00.0");
  EXPECT_THAT(bench.failure({{goal}}).message, HasSubstr("0000:01:00.0 has no driver"));
}

TEST(Provision, ReportsProgressStepByStep) {
  Bench bench;
  std::vector<std::string> seen;
  auto report = bench.provisioner().apply(
      {{pfGoal(1)}}, [&](const Step& step) { seen.push_back(step.describe()); });
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(seen.front(), "enp1s0f0np0: bring up");
  EXPECT_THAT(seen, Contains("enp1s0f0np0 VF 0: wait for its netdev"));
  EXPECT_THAT(report->changes, Each(Not(HasSubstr("wait for"))));
  EXPECT_EQ(seen.size(), report->changes.size() + 2);
}

}  // namespace
}  // namespace railhead::provision

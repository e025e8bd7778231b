#include "src/provision/provision.h"

#include "src/base/text.h"
#include "src/provision/mac_policy.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/manual_clock.h"

#include <cerrno>

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
using testing_support::FakeKernel;
using testing_support::FakePfSpec;
using testing_support::ManualClock;

class StatedHolders final : public VfHolders {
 public:
  Result<std::vector<Holder>> holders() override {
    if (failure) return *failure;
    if (--quietFor >= 0) return std::vector<Holder>();
    return list;
  }
  std::vector<Holder> list;
  std::optional<Error> failure;
  int quietFor = 0;  // answers with nobody in them, before `list` counts
};

// A driver that needs its time: netdevs appear while the caller waits.
class SlowDriverClock final : public os::Clock {
 public:
  SlowDriverClock(FakeKernel& kernel, int looks) : kernel_(kernel), looks_(looks) {}
  TimePoint now() override { return manual_.now(); }
  std::chrono::system_clock::time_point wallTime() override { return manual_.wallTime(); }
  void sleepFor(Duration duration) override {
    manual_.advance(duration);
    if (--looks_ == 0) kernel_.failVfDriver(false);
  }

 private:
  FakeKernel& kernel_;
  ManualClock manual_;
  int looks_;
};

FakePfSpec igb(int bus, const std::string& netdev) {
  FakePfSpec spec;
  spec.pci = "0000:0" + std::to_string(bus) + ":00.0";
  spec.netdev = netdev;
  spec.mac = "52:54:00:00:0" + std::to_string(bus) + ":00";
  return spec;
}

FakePfSpec connectX(const std::string& domain, const std::string& netdev, const std::string& mac) {
  FakePfSpec spec;
  spec.pci = domain + ":01:00.0";
  spec.netdev = netdev;
  spec.mac = mac;
  spec.vendor = 0x15b3;
  spec.device = 0x1021;
  spec.vfDevice = 0x101e;
  spec.driver = spec.vfDriver = "mlx5_core";
  spec.totalVfs = 16;
  spec.physPortName = "p0";
  spec.physSwitchId = "0a1b2c";
  spec.rdma = true;
  spec.vfGuidNeedsAdminMac = true;
  return spec;
}

PfGoal pfGoal(int vfs) {
  PfGoal goal;
  goal.field = "provision.pfs[0]";
  goal.vfs = vfs;
  goal.mtu = 9000;
  goal.trust = VfSwitch{true, true};
  goal.spoofCheck = VfSwitch{false, true};
  return goal;
}

// A node's kernel, who holds its VFs, and the time.
struct Bench {
  explicit Bench(bool mlx5 = false) {
    if (mlx5) {
      kernel.addPf(connectX("0000", "enp1s0f0np0", "4c:bb:47:00:00:01"));
      kernel.addPf(connectX("0002", "enP2p1s0f0np0", "4c:bb:47:00:00:05"));
    } else {
      kernel.addPf(igb(1, "enp1s0f0np0"));
      kernel.addPf(igb(2, "enP2p1s0f0np0"));
    }
    kernel.addNetns("pod");
  }
  Provisioner provisioner(os::Clock* other = nullptr) {
    os::Clock& used = other != nullptr ? *other : clock;
    return Provisioner({kernel.files(), kernel.paths(), kernel, used, holders});
  }
  // What must not fail.
  ApplyReport apply(const Goal& goal) {
    auto report = provisioner().apply(goal);
    EXPECT_TRUE(report.has_value()) << report.error().describe();
    if (!report.has_value()) return {};
    EXPECT_TRUE(report->ok()) << report->outcome().error().describe();
    return std::move(*report);
  }
  // The failure of one PF, or of all.
  Error failure(const Goal& goal) {
    auto report = provisioner().apply(goal);
    if (!report.has_value()) return report.error();
    auto outcome = report->outcome();
    EXPECT_FALSE(outcome.has_value());
    return outcome.has_value() ? Error() : outcome.error();
  }
  void moveToPod(const std::string& netdev) {
    auto links = std::move(*kernel.openLinks(nullptr));
    const auto pod = kernel.open(kernel.netnsPath("pod"));
    ASSERT_TRUE(links->move(links->link(netdev)->index, *pod, "net1").has_value());
  }
  void write(const std::string& pf, const std::string& file, const std::string& value) {
    ASSERT_TRUE(
        kernel.files().writeFile(kernel.paths().pciDevice(pf) + "/" + file, value).has_value());
  }

  FakeKernel kernel;
  ManualClock clock;
  StatedHolders holders;
};

void expectAsWanted(const Bench& bench, int vfs) {
  for (const char* name : {"enp1s0f0np0", "enP2p1s0f0np0"}) {
    const auto pf = bench.kernel.link(name);
    ASSERT_TRUE(pf.has_value());
    EXPECT_TRUE(pf->up);
    EXPECT_EQ(pf->mtu, 9000);
    for (int i = 0; i < vfs; ++i) {
      const auto vf = bench.kernel.link(std::string(name) + "v" + std::to_string(i));
      ASSERT_TRUE(vf.has_value()) << name << " VF " << i;
      EXPECT_EQ(vf->mac, stableVfMac(pf->mac, i));
      EXPECT_EQ(vf->mtu, 9000);
      const auto settings = bench.kernel.vfSettings(name, i);
      EXPECT_EQ(settings.mac, vf->mac);
      EXPECT_TRUE(settings.trust);
      EXPECT_FALSE(settings.spoofCheck);
    }
    EXPECT_FALSE(bench.kernel.link(std::string(name) + "v" + std::to_string(vfs)).has_value());
  }
  for (const auto& device : bench.kernel.rdmaDevices()) EXPECT_FALSE(device.guid.isZero());
}

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
TEST_P(ProvisionTest, EndsRightAfterACrashAtAnyPoint) {
  goal_.pfs[0].vfs = 2;
  Goal one = goal_;
  one.pfs[0].vfs = 1;
  for (const bool throughZero : {false, true}) {
    Bench clean(GetParam());
    if (throughZero) clean.apply(one);
    clean.kernel.revive();
    clean.apply(goal_);
    const int operations = clean.kernel.operations();
    ASSERT_GE(operations, 28);
    for (int n = 1; n <= operations; ++n) {
      Bench bench(GetParam());
      if (throughZero) bench.apply(one);
      bench.kernel.revive();
      bench.kernel.crashAt(n);
      auto killed = bench.provisioner().apply(goal_);
      EXPECT_FALSE(killed.has_value() && killed->ok()) << "crash at " << n;
      bench.kernel.revive();
      bench.apply(goal_);
      EXPECT_EQ(bench.kernel.snapshot(), clean.kernel.snapshot()) << "crash at " << n;
      EXPECT_TRUE(bench.provisioner().plan(goal_)->empty()) << "crash at " << n;
    }
  }
}

TEST_P(ProvisionTest, NamesTheStepThatFailsAndCompletesNextTime) {
  goal_.pfs[0].vfs = 2;
  Bench clean(GetParam());
  clean.apply(goal_);
  const int operations = clean.kernel.operations();
  for (int n = 1; n <= operations; ++n) {
    Bench bench(GetParam());
    bench.kernel.failAt(n, EIO);
    auto report = bench.provisioner().apply(goal_);
    ASSERT_TRUE(report.has_value()) << report.error().describe();
    ASSERT_THAT(report->failures, SizeIs(1)) << "failing " << n;
    const PfFailure& failure = report->failures[0];
    EXPECT_THAT(failure.error.message, testing::StartsWith(failure.name)) << "failing " << n;
    EXPECT_THAT(failure.error.message, HasSubstr("Input/output error"));
    // The other PF got there all the same.
    const std::string other = failure.name == "enp1s0f0np0" ? "enP2p1s0f0np0v1" : "enp1s0f0np0v1";
    ASSERT_TRUE(bench.kernel.link(other).has_value()) << "failing " << n;
    EXPECT_EQ(bench.kernel.link(other)->mtu, 9000);
    bench.kernel.revive();
    bench.apply(goal_);
    EXPECT_EQ(bench.kernel.snapshot(), clean.kernel.snapshot()) << "failing " << n;
  }
}

TEST_P(ProvisionTest, NeverTouchesAVfThatAPodHolds) {
  Goal plain = goal_;
  plain.pfs[0].mtu = 0;
  plain.pfs[0].trust.reset();
  bench_.apply(plain);
  const std::string pf = bench_.kernel.link("enp1s0f0np0")->pci;
  const std::string held = bench_.kernel.link("enp1s0f0np0v1")->pci;
  const std::string away = bench_.kernel.link("enp1s0f0np0v2")->pci;
  bench_.holders.list = {{"default/trainer-0", *PciAddress::parse(held)}};
  bench_.moveToPod("enp1s0f0np0v2");
  const auto before = std::make_pair(bench_.kernel.linkOf(held), bench_.kernel.linkOf(away));
  bench_.kernel.revive();
  const ApplyReport report = bench_.apply(goal_);
  EXPECT_TRUE(bench_.kernel.vfSettings("enp1s0f0np0", 0).trust);
  for (const int vf : {1, 2}) EXPECT_FALSE(bench_.kernel.vfSettings("enp1s0f0np0", vf).trust);
  EXPECT_EQ(bench_.kernel.linkOf(held)->index, before.first->index);
  EXPECT_EQ(bench_.kernel.linkOf(held)->mtu, 1500);
  EXPECT_EQ(bench_.kernel.linkOf(away)->index, before.second->index);
  EXPECT_EQ(bench_.kernel.netnsOf(away), "pod");
  EXPECT_THAT(report.untouched,
              Contains(HasSubstr("VF 1 is held by default/trainer-0; not done: enp1s0f0np0 VF 1: "
                                 "trust on (was off)")));
  EXPECT_THAT(report.untouched, Contains(HasSubstr("VF 2 is held by an unknown namespace")));
  // The PF's MTU is a matter of the pods too; the free twin's is not.
  EXPECT_EQ(bench_.kernel.link("enp1s0f0np0")->mtu, 1500);
  EXPECT_EQ(bench_.kernel.link("enP2p1s0f0np0v0")->mtu, 9000);
  for (const auto& line : bench_.kernel.log()) {
    EXPECT_THAT(line, Not(HasSubstr(held)));
    EXPECT_THAT(line, Not(HasSubstr(away)));
    EXPECT_THAT(line, Not(HasSubstr("VF 1 on enp1s0f0np0")));
    EXPECT_THAT(line, Not(HasSubstr("VF 2 on enp1s0f0np0")));
  }
}

TEST_P(ProvisionTest, RefusesAnotherCountWhileAVfIsHeld) {
  bench_.apply(goal_);
  const std::string held = bench_.kernel.link("enP2p1s0f0np0v1")->pci;
  bench_.holders.list = {{"default/trainer-0", *PciAddress::parse(held)}};
  const std::string before = bench_.kernel.snapshot();
  Goal two = goal_;
  two.pfs[0].vfs = 2;
  two.pfs[0].select.name = "enP2p1s0f0np0";
  bench_.kernel.revive();
  Error refused = bench_.failure(two);
  EXPECT_EQ(refused.code, ErrorCode::kBusy);
  EXPECT_THAT(refused.message, HasSubstr("VF 1 (" + held + ") by default/trainer-0"));
  EXPECT_THAT(refused.message, HasSubstr("4 VFs stand, 2 are wanted"));
  bench_.holders.list.clear();
  bench_.moveToPod("enP2p1s0f0np0v3");
  const std::string moved = bench_.kernel.snapshot();
  refused = bench_.failure(two);
  EXPECT_EQ(refused.code, ErrorCode::kBusy);
  EXPECT_THAT(refused.message, HasSubstr("an unknown namespace"));
  EXPECT_EQ(bench_.kernel.snapshot(), moved);
  bench_.kernel.killNetns("pod");
  bench_.apply(two);
  EXPECT_TRUE(bench_.kernel.link("enP2p1s0f0np0v1").has_value());
  EXPECT_FALSE(bench_.kernel.link("enP2p1s0f0np0v2").has_value());
  EXPECT_NE(bench_.kernel.snapshot(), before);
}

TEST_P(ProvisionTest, LooksAgainAtTheHoldersBeforeItWrites) {
  bench_.apply(goal_);
  Goal none = goal_;
  none.pfs[0].vfs = 0;
  const std::string held = bench_.kernel.link("enp1s0f0np0v0")->pci;
  bench_.holders.list = {{"default/late", *PciAddress::parse(held)}};
  bench_.holders.quietFor = 1;  // the plan sees nobody
  const Error taken = bench_.failure(none);
  EXPECT_EQ(taken.code, ErrorCode::kBusy);
  EXPECT_THAT(taken.message, HasSubstr("default/late"));
  EXPECT_TRUE(bench_.kernel.link("enp1s0f0np0v0").has_value());
  EXPECT_FALSE(bench_.kernel.link("enP2p1s0f0np0v0").has_value());
}

TEST_P(ProvisionTest, DoesNothingThatDisturbsWhenHoldersAreUnknown) {
  bench_.holders.failure = Error(ErrorCode::kUnavailable, "connect to pod-resources: refused");
  bench_.apply(goal_);  // a bare node has no pods to disturb
  expectAsWanted(bench_, 4);
  bench_.kernel.revive();
  bench_.apply(goal_);
  Goal other = goal_;
  other.pfs[0].mtu = 1500;
  EXPECT_EQ(bench_.failure(other).code, ErrorCode::kUnavailable);
  other.pfs[0].vfs = 2;
  const Error refused = bench_.failure(other);
  EXPECT_EQ(refused.code, ErrorCode::kUnavailable);
  EXPECT_THAT(refused.message, HasSubstr("connect to pod-resources: refused"));
  EXPECT_EQ(bench_.kernel.operations(), 0);
}

TEST_P(ProvisionTest, WaitsForADriverThatIsStillAtWork) {
  bench_.kernel.failVfDriver(true);
  for (const auto& pf : {"enp1s0f0np0", "enP2p1s0f0np0"}) {
    bench_.write(bench_.kernel.link(pf)->pci, "sriov_numvfs", "4");
  }
  SlowDriverClock slow(bench_.kernel, 5);
  auto report = bench_.provisioner(&slow).apply(goal_);
  ASSERT_TRUE(report.has_value() && report->ok());
  expectAsWanted(bench_, 4);
  EXPECT_GE(report->seconds, 0.5);
  EXPECT_LT(report->seconds, 0.6);
}

TEST_P(ProvisionTest, GivesUpOnANetdevThatNeverAppears) {
  bench_.kernel.failVfDriver(true);
  const Error late = bench_.failure(goal_);
  EXPECT_EQ(late.code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(late.message, HasSubstr("enp1s0f0np0 VF 0: wait for its netdev"));
  EXPECT_THAT(late.message, HasSubstr("within 20000 ms"));
  EXPECT_THAT(late.message, HasSubstr("and 1 more"));
  EXPECT_THAT(late.remedy, HasSubstr("dmesg"));
  bench_.kernel.failVfDriver(false);
  bench_.apply(goal_);
  expectAsWanted(bench_, 4);
}

TEST_P(ProvisionTest, TakesThreeSecondsAtMostForNetdevsOfStrangers) {
  bench_.apply(goal_);
  bench_.moveToPod("enp1s0f0np0v2");
  const ApplyReport report = bench_.apply(goal_);
  EXPECT_GE(report.seconds, 3);
  EXPECT_LT(report.seconds, 3.2);
  EXPECT_THAT(report.untouched, ElementsAre(HasSubstr("VF 2 is held by an unknown namespace")));
}

TEST_P(ProvisionTest, TurnsAutoprobeOnWhenItIsNeeded) {
  const std::string pf = bench_.kernel.link("enp1s0f0np0")->pci;
  bench_.write(pf, "sriov_drivers_autoprobe", "0");
  bench_.write(pf, "sriov_numvfs", "4");
  const ApplyReport report = bench_.apply(goal_);
  expectAsWanted(bench_, 4);
  EXPECT_THAT(report.changes, Contains(HasSubstr("sriov_drivers_autoprobe 1")));
  EXPECT_EQ(*bench_.kernel.files().readTrimmed(bench_.kernel.paths().pciDevice(pf) +
                                               "/sriov_drivers_autoprobe"),
            "1");
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

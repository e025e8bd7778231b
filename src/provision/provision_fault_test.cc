// Crashes, failures, pods in the way, slow drivers.
#include "tests/support/provision_bench.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::provision {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ProvisionFaultTest : public testing::TestWithParam<bool> {
 protected:
  Bench bench_{GetParam()};
  Goal goal_{{pfGoal(4)}};
};

INSTANTIATE_TEST_SUITE_P(Drivers, ProvisionFaultTest, testing::Values(false, true),
                         [](const auto& driver) { return driver.param ? "mlx5" : "igb"; });

TEST_P(ProvisionFaultTest, EndsRightAfterACrashAtAnyPoint) {
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

TEST_P(ProvisionFaultTest, PutsAutoprobeBackAsItWasAfterACrashAtAnyPoint) {
  goal_.pfs[0].vfs = 2;
  for (const char* wanted : {"0", "1"}) {
    for (int n = 1;; ++n) {
      Bench bench(GetParam());
      const std::string pf = bench.kernel.link("enp1s0f0np0")->pci;
      bench.write(pf, "sriov_drivers_autoprobe", wanted);
      bench.kernel.revive();
      bench.kernel.crashAt(n);
      auto first = bench.provisioner().apply(goal_);
      const bool killed = !first.has_value() || !first->ok();
      bench.kernel.revive();
      bench.apply(goal_);
      const std::string file = bench.kernel.paths().pciDevice(pf) + "/sriov_drivers_autoprobe";
      EXPECT_EQ(*bench.kernel.files().readTrimmed(file), wanted) << "crash at " << n;
      EXPECT_FALSE(bench.kernel.files().exists(bench.kernel.paths().state + "/autoprobe-" + pf))
          << wanted << ", crash at " << n;
      if (!killed) break;
    }
  }
}

TEST_P(ProvisionFaultTest, AFailureAtAnyPointLeavesAutoprobeAsItWas) {
  goal_.pfs[0].vfs = 2;
  for (const char* wanted : {"0", "1"}) {
    for (int n = 1;; ++n) {
      Bench bench(GetParam());
      const std::string pf = bench.kernel.link("enp1s0f0np0")->pci;
      bench.write(pf, "sriov_drivers_autoprobe", wanted);
      bench.kernel.revive();
      bench.kernel.failAt(n, EIO);
      auto report = bench.provisioner().apply(goal_);
      const std::string file = bench.kernel.paths().pciDevice(pf) + "/sriov_drivers_autoprobe";
      EXPECT_EQ(*bench.kernel.files().readTrimmed(file), wanted) << "failing " << n;
      if (report.has_value() && report->ok()) break;
    }
  }
}

TEST_P(ProvisionFaultTest, NamesTheStepThatFailsAndCompletesNextTime) {
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

TEST_P(ProvisionFaultTest, NeverTouchesAVfThatAPodHolds) {
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

TEST_P(ProvisionFaultTest, RefusesAnotherCountWhileAVfIsHeld) {
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

TEST_P(ProvisionFaultTest, LooksAgainAtTheHoldersBeforeItWrites) {
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

TEST_P(ProvisionFaultTest, DoesNothingThatDisturbsWhenHoldersAreUnknown) {
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

TEST_P(ProvisionFaultTest, WaitsForADriverThatIsStillAtWork) {
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

TEST_P(ProvisionFaultTest, GivesUpOnANetdevThatNeverAppears) {
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

TEST_P(ProvisionFaultTest, TakesThreeSecondsAtMostForNetdevsOfStrangers) {
  bench_.apply(goal_);
  bench_.moveToPod("enp1s0f0np0v2");
  const ApplyReport report = bench_.apply(goal_);
  EXPECT_GE(report.seconds, 3);
  EXPECT_LT(report.seconds, 3.2);
  EXPECT_THAT(report.untouched, ElementsAre(HasSubstr("VF 2 is held by an unknown namespace")));
}

TEST_P(ProvisionFaultTest, EndsAWaitWhenItIsToldToStop) {
  bench_.kernel.failVfDriver(true);
  const auto stopAt = bench_.clock.now() + std::chrono::seconds(5);
  const auto stop = [&] { return bench_.clock.now() >= stopAt; };
  const auto report = bench_.provisioner(nullptr, stop).apply(goal_);
  ASSERT_TRUE(report.has_value()) << report.error().describe();
  EXPECT_GE(report->seconds, 5);
  EXPECT_LT(report->seconds, 6);
  ASSERT_THAT(report->failures, SizeIs(2));
  for (const PfFailure& failure : report->failures) {
    EXPECT_EQ(failure.error.code, ErrorCode::kUnavailable);
    EXPECT_THAT(failure.error.message, testing::StartsWith(failure.name));
    EXPECT_THAT(failure.error.message, HasSubstr("told to stop"));
  }
  // And one that is told before drivers at work from before are done writes nothing.
  bench_.kernel.revive();
  const auto settling = bench_.provisioner(nullptr, stop).apply(goal_);
  ASSERT_FALSE(settling.has_value());
  EXPECT_EQ(settling.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(bench_.kernel.operations(), 0);
  bench_.kernel.failVfDriver(false);
  bench_.apply(goal_);
  expectAsWanted(bench_, 4);
}

TEST_P(ProvisionFaultTest, StoppedAtAnyPointItCompletesNextTime) {
  goal_.pfs[0].vfs = 2;
  Bench clean(GetParam());
  clean.apply(goal_);
  for (int n = 0;; ++n) {
    Bench bench(GetParam());
    int looks = 0;
    const auto report = bench.provisioner(nullptr, [&] { return looks++ >= n; }).apply(goal_);
    ASSERT_TRUE(report.has_value()) << report.error().describe();
    if (n == 0) {
      EXPECT_EQ(bench.kernel.operations(), 0);
    }
    for (const char* netdev : {"enp1s0f0np0", "enP2p1s0f0np0"}) {
      const std::string pf = bench.kernel.link(netdev)->pci;
      const std::string file = bench.kernel.paths().pciDevice(pf) + "/sriov_drivers_autoprobe";
      EXPECT_EQ(*bench.kernel.files().readTrimmed(file), "1") << "stopped at look " << n;
    }
    bench.apply(goal_);
    EXPECT_EQ(bench.kernel.snapshot(), clean.kernel.snapshot()) << "stopped at look " << n;
    if (report->ok()) break;
  }
}

TEST_P(ProvisionFaultTest, ARecordThatCannotBeReadFailsItsPfAlone) {
  const auto pf = *PciAddress::parse(bench_.kernel.link("enp1s0f0np0")->pci);
  const std::string record = bench_.kernel.paths().state + "/autoprobe-" + pf.toString();
  ASSERT_TRUE(bench_.kernel.files().makeDirectories(bench_.kernel.paths().state).has_value());
  ASSERT_TRUE(bench_.kernel.files().replaceFile(record, "perhaps").has_value());
  const auto report = bench_.provisioner().apply(goal_);
  ASSERT_TRUE(report.has_value()) << report.error().describe();
  ASSERT_THAT(report->failures, SizeIs(1));
  const PfFailure& failure = report->failures[0];
  EXPECT_EQ(failure.pf, pf);
  EXPECT_EQ(failure.error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(failure.error.message, testing::StartsWith("enp1s0f0np0 ("));
  EXPECT_THAT(failure.error.message, HasSubstr(record + " holds 'perhaps'"));
  EXPECT_THAT(failure.error.remedy, HasSubstr("remove it"));
  EXPECT_FALSE(bench_.kernel.link("enp1s0f0np0v0").has_value());
  EXPECT_TRUE(bench_.kernel.link("enP2p1s0f0np0v3").has_value());
  EXPECT_THAT(bench_.provisioner().plan(goal_)->lines(), Contains(HasSubstr("perhaps")));
  ASSERT_TRUE(bench_.kernel.files().remove(record).has_value());
  bench_.apply(goal_);
  expectAsWanted(bench_, 4);
}

}  // namespace
}  // namespace railhead::provision

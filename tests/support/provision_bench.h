// A node's fake kernel, who holds its VFs and the time, for the tests of this folder.
#pragma once

#include "src/provision/mac_policy.h"
#include "src/provision/provision.h"
#include "tests/support/fake_kernel.h"
#include "tests/support/manual_clock.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::provision {

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

inline FakePfSpec igb(int bus, const std::string& netdev) {
  FakePfSpec spec;
  spec.pci = "0000:0" + std::to_string(bus) + ":00.0";
  spec.netdev = netdev;
  spec.mac = "52:54:00:00:0" + std::to_string(bus) + ":00";
  return spec;
}

inline FakePfSpec connectX(const std::string& domain, const std::string& netdev,
                           const std::string& mac) {
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

inline PfGoal pfGoal(int vfs) {
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
  Provisioner provisioner(os::Clock* other = nullptr, std::function<bool()> stop = {}) {
    os::Clock& used = other != nullptr ? *other : clock;
    return Provisioner({kernel.files(), kernel.paths(), kernel, used, holders, std::move(stop)});
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

inline void expectAsWanted(const Bench& bench, int vfs) {
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

}  // namespace railhead::provision

// The agent while its node changes under it: PFs that go and come, drivers that are bound again,
// what was put off for a pod.
#include "tests/support/agent_fixture.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;

class AgentDriftTest : public AgentFixture {};

// Its PF is gone, or without its driver: kubelet hears of it, the others' health goes on, and an
// agent that starts meanwhile knows the same devices.
TEST_F(AgentDriftTest, APfThatIsGoneMakesItsDevicesUnhealthyAndNoOthers) {
  kernel_->addPf(
      {.pci = "0000:03:00.0", .netdev = "eth7", .mac = "52:54:00:00:03:00", .rdma = true});
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  const auto before = devicesOf(**started);
  ASSERT_EQ(before.size(), 4U);
  kernel_->unplugPf("0000:02:00.0");
  kernel_->setCarrier("eth7", false);
  events_.tell("pci 0000:02:00.0: remove");
  ASSERT_TRUE(becomesTrue([&] { return !devicesOf(**started).begin()->second.empty(); }));
  auto now = devicesOf(**started);
  ASSERT_EQ(now.size(), 4U) << "none is forgotten, and none is made of half a cable";
  int gone = 0;
  for (const auto& [id, reason] : now) {
    EXPECT_TRUE(before.contains(id)) << id;
    EXPECT_THAT(reason, testing::AnyOf(HasSubstr("PF enP2p1s0f0np0 (0000:02:00.0) is gone"),
                                       HasSubstr("eth7 (0000:03:00.0) has no carrier")));
    gone += reason.find("is gone") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(gone, 2);
  EXPECT_THAT(log_.text(), HasSubstr("unhealthy: PF enP2p1s0f0np0 (0000:02:00.0) is gone"));
  (*started)->stop();
  auto second = agent("{vfs: 2}");
  ASSERT_TRUE(second.has_value() && (*second)->start().has_value());
  EXPECT_EQ(devicesOf(**second), now);
  kernel_->addPf(
      {.pci = "0000:02:00.0", .netdev = "enP2p1s0f0np0", .mac = "52:54:00:00:02:00", .rdma = true});
  kernel_->setCarrier("eth7", true);
  clock_.advance(std::chrono::seconds(10));
  events_.tell("pci 0000:02:00.0: add");
  EXPECT_TRUE(becomesTrue([&] { return devicesOf(**second) == before; }))
      << "it is provisioned and offered again\n"
      << log_.text();
  EXPECT_THAT(log_.text(), HasSubstr("healthy again: "));
}

// mlx5_core is loaded again, by its own recovery or by a driver container: its VFs are gone.
TEST_F(AgentDriftTest, APfWhoseDriverWasBoundAgainGetsItsVfsBack) {
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  const auto before = devicesOf(**started);
  const auto bind = [&](const std::string& file) {
    ASSERT_TRUE(
        kernel_->files().writeFile("/sys/bus/pci/drivers/igb/" + file, "0000:01:00.0").has_value());
  };
  clock_.advance(std::chrono::seconds(10));
  bind("unbind");
  bind("bind");
  events_.tell("pci 0000:01:00.0: bind");
  const auto vfs = [&] {
    return kernel_->files()
        .readTrimmed("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs")
        .value_or("");
  };
  EXPECT_TRUE(becomesTrue([&] { return vfs() == "2"; })) << log_.text();
  EXPECT_TRUE(becomesTrue([&] { return devicesOf(**started) == before; }));
  // And where somebody wrote another number.
  clock_.advance(std::chrono::seconds(10));
  ASSERT_TRUE(kernel_->files()
                  .writeFile("/sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", "0")
                  .has_value());
  events_.tell("pci 0000:01:10.0: remove");
  EXPECT_TRUE(becomesTrue([&] { return vfs() == "2"; })) << log_.text();
}

// A change that would disturb a pod is made when the pod has ended.
TEST_F(AgentDriftTest, WhatWasPutOffForAPodIsDoneWhenItsVfIsBack) {
  kernel_->addNetns("pod");
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  const auto pod = kernel_->open(kernel_->netnsPath("pod"));
  auto links = std::move(*kernel_->openLinks(nullptr));
  const int index = links->link("enp1s0f0np0v0")->index;
  ASSERT_TRUE(links->move(index, *pod, "net1").has_value());
  events_.tell("link enp1s0f0np0v0: gone");
  clock_.advance(std::chrono::seconds(10));
  ASSERT_TRUE((*started)
                  ->reconfigure(*parseConfig("version: 1\nprovision: {pfs: [{vfs: 2, mtu: 9000}]}\n"
                                             "twins: [[enp1s0f0np0, enP2p1s0f0np0]]\n"
                                             "resources: [{name: nvidia.com/cx7_qsfp}]\n",
                                             "f"))
                  .has_value());
  const auto mtu = [&](const char* netdev) { return kernel_->link(netdev)->mtu; };
  ASSERT_TRUE(becomesTrue([&] { return mtu("enP2p1s0f0np0") == 9000; }));
  EXPECT_EQ(mtu("enp1s0f0np0"), 1500);
  ASSERT_TRUE(becomesTrue([&] { return log_.text().find("MTU stays 1500") != std::string::npos; }));
  clock_.advance(std::chrono::seconds(10));
  kernel_->killNetns("pod");
  events_.tell("link enp1s0f0np0v0: up, carrier");
  EXPECT_TRUE(becomesTrue([&] { return mtu("enp1s0f0np0") == 9000; })) << log_.text();
  EXPECT_TRUE(becomesTrue([&] { return mtu("enp1s0f0np0v1") == 9000; })) << log_.text();
}

// A container with a device that is not specified would fail, a pod without one waits.
TEST_F(AgentDriftTest, ADeviceThatCannotBeSpecifiedIsNotOffered) {
  kernel_->memory().put(paths_.cdi, "no folder");
  auto config = parseConfig(
      "version: 1\nprovision: {pfs: [{vfs: 2}]}\ntwins: [[enp1s0f0np0, enP2p1s0f0np0]]\n"
      "resources: [{name: nvidia.com/cx7_qsfp, cdi: true}, {name: nvidia.com/rest}]\n",
      "f");
  ASSERT_TRUE(config.has_value());
  auto started = Agent::create(std::move(*config), paths_,
                               {kernel_->files(), *kernel_, events_, *kernel_, clock_, log_});
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  ASSERT_EQ(devicesOf(**started).size(), 2U);
  for (const auto& [id, reason] : devicesOf(**started))
    EXPECT_THAT(reason, HasSubstr("its CDI specification cannot be written")) << id;
  EXPECT_THAT(log_.text(), HasSubstr("unhealthy: its CDI specification cannot be written"));
  kernel_->memory().erase(paths_.cdi);
  events_.tell("link enp1s0f0np0: up, carrier");
  EXPECT_TRUE(becomesTrue([&] { return devicesOf(**started).begin()->second.empty(); }))
      << log_.text();
}

// Descriptors ran out in the moment when the node could be read at last.
TEST_F(AgentDriftTest, AServerThatCannotStartIsStartedLater) {
  kernel_->memory().erase("/sys");
  auto started = agent("{vfs: 2}");
  ASSERT_TRUE(started.has_value() && (*started)->start().has_value());
  const auto state = [&] { return statusOf(**started)["resources"][0].value("state", ""); };
  EXPECT_EQ(state(), "stopped");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{4, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  kernel_->setCarrier("enp1s0f0np0", true);  // sysfs is there again
  events_.tell("pci 0000:01:00.0: add");
  EXPECT_TRUE(becomesTrue(
      [&] { return log_.text().find("make an event descriptor") != std::string::npos; }));
  EXPECT_EQ(state(), "stopped");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  events_.tell("pci 0000:01:00.0: change");
  EXPECT_TRUE(becomesTrue([&] { return state() == "waiting"; })) << state() << log_.text();
}

}  // namespace
}  // namespace railhead::agent

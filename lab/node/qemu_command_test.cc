#include "lab/node/qemu_command.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::lab {
namespace {

using testing::Contains;
using testing::HasSubstr;

LabImage image() {
  LabImage made;
  made.kernelFile = "/i,mage/kernel";
  made.initramfsFile = "/i,mage/initramfs.cpio";
  made.rootFile = "/i,mage/root.erofs";
  return made;
}

std::vector<std::string> valuesOf(const std::vector<std::string>& command,
                                  const std::string& name) {
  std::vector<std::string> values;
  for (std::size_t i = 0; i + 1 < command.size(); ++i) {
    if (command[i] == name) values.push_back(command[i + 1]);
  }
  return values;
}

TEST(QemuCommand, PutsEveryPfBehindARootPortOfItsOwn) {
  const auto topology = loadTopology("two-sparks");
  ASSERT_TRUE(topology);
  const auto command = qemuCommand(topology->nodes[0], image(), {}, {10, 11, 12, {13, 14}});
  EXPECT_EQ(command.front(), "qemu-system-x86_64");
  const auto devices = valuesOf(command, "-device");
  EXPECT_THAT(devices, Contains("pcie-root-port,id=port0,bus=pcie.0,addr=1,chassis=1,slot=1"));
  EXPECT_THAT(devices, Contains("pcie-root-port,id=port1,bus=pcie.0,addr=2,chassis=2,slot=2"));
  EXPECT_THAT(devices, Contains("igb,id=pf1,bus=port1,romfile=,mac=" +
                                pfMac(topology->nodes[0], 1).toString() + ",netdev=net1"));
  EXPECT_THAT(valuesOf(command, "-netdev"),
              testing::ElementsAre("dgram,id=net0,local.type=fd,local.str=13",
                                   "dgram,id=net1,local.type=fd,local.str=14"));
  EXPECT_THAT(valuesOf(command, "-append").at(0),
              HasSubstr("railhead.node=spark-a "
                        "railhead.pf=0000:01:00.0=enp1s0f0np0,0000:02:00.0=enP2p1s0f0np0"));
}

TEST(QemuCommand, HandsDownSocketsAndNoFilesButTheImage) {
  const auto topology = loadTopology("two-sparks");
  ASSERT_TRUE(topology);
  const auto command = qemuCommand(topology->nodes[1], image(), {}, {10, 11, 12, {13, 14}});
  EXPECT_THAT(valuesOf(command, "-chardev"),
              testing::ElementsAre("socket,id=qmp,fd=10", "socket,id=console,fd=11",
                                   "socket,id=control,fd=12"));
  EXPECT_THAT(valuesOf(command, "-device"),
              Contains("virtserialport,bus=serial.0,chardev=control,name=railhead.control"));
  EXPECT_THAT(valuesOf(command, "-blockdev").at(0), HasSubstr("filename=/i,,mage/root.erofs"));
  EXPECT_EQ(valuesOf(command, "-kernel").at(0), "/i,mage/kernel");  // not an option list
  EXPECT_EQ(valuesOf(command, "-m").at(0), "512");
}

TEST(QemuCommand, PfWithoutALinkHasNoPeer) {
  const auto topology =
      parseTopology("{name: t, nodes: [{name: a, cpus: 2, pfs: [{name: p}]}]}", "t");
  ASSERT_TRUE(topology);
  const auto command = qemuCommand(topology->nodes[0], image(), {"qemu", "kvm"}, {3, 4, 5, {-1}});
  EXPECT_TRUE(valuesOf(command, "-netdev").empty());
  EXPECT_EQ(valuesOf(command, "-accel").at(0), "kvm");
  EXPECT_EQ(valuesOf(command, "-smp").at(0), "2");
}

TEST(QemuCommand, AFolderIsSharedWhenOneIsNamed) {
  const auto topology = loadTopology("two-sparks");
  ASSERT_TRUE(topology);
  QemuSettings settings;
  EXPECT_TRUE(
      valuesOf(qemuCommand(topology->nodes[0], image(), settings, {3, 4, 5, {-1, -1}}), "-fsdev")
          .empty());
  settings.share = "/home/a,b";
  const auto command = qemuCommand(topology->nodes[0], image(), settings, {3, 4, 5, {-1, -1}});
  EXPECT_THAT(
      valuesOf(command, "-fsdev"),
      testing::ElementsAre("local,id=share,security_model=none,multidevs=remap,path=/home/a,,b"));
  EXPECT_THAT(valuesOf(command, "-append").at(0), HasSubstr(" railhead.share=/run/share"));
}

TEST(QemuCommand, NodeWithoutPfsSaysNothingAboutThem) {
  const auto topology = parseTopology("{name: t, nodes: [{name: a}]}", "t");
  ASSERT_TRUE(topology);
  EXPECT_THAT(kernelArguments(topology->nodes[0]), testing::Not(HasSubstr("railhead.pf")));
}

}  // namespace
}  // namespace railhead::lab

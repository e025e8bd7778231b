#include "src/discover/discover.h"

#include "src/discover/node_text.h"
#include "src/discover/twins.h"
#include "tests/support/tree.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::discover {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing_support::MemoryFilesystem;

class DiscoverTest : public testing::Test {
 protected:
  // The fixture, with every write refused.
  Node load(const std::string& name) {
    auto tree = testing_support::readTree(name);
    EXPECT_TRUE(tree.has_value()) << tree.error().describe();
    testing_support::putTree(*tree, files_);
    return read();
  }
  Node read() {
    auto node = discoverNode(files_, paths_);
    EXPECT_TRUE(node.has_value()) << node.error().describe();
    return node.has_value() ? *node : Node{};
  }

  MemoryFilesystem files_{[](const std::string& what) -> Result<void> {
    ADD_FAILURE() << "discovery wrote: " << what;
    return Error(ErrorCode::kPermissionDenied, what);
  }};
  os::HostPaths paths_;
};

std::vector<std::string> names(const Node& node) {
  std::vector<std::string> result;
  result.reserve(node.pfs.size());
  for (const Pf& pf : node.pfs) result.push_back(pf.netdev);
  return result;
}

TEST_F(DiscoverTest, SeesTheFourPfsOfASpark) {
  const Node node = load("spark");
  EXPECT_EQ(node.hostname, "spark-a");
  EXPECT_EQ(node.architecture, "aarch64");
  EXPECT_THAT(names(node),
              ElementsAre("enp1s0f0np0", "enp1s0f1np1", "enP2p1s0f0np0", "enP2p1s0f1np1"));
  const Pf& pf = node.pfs[2];
  EXPECT_EQ(pf.pci.toString(), "0002:01:00.0");
  EXPECT_EQ(pf.vendor, 0x15b3);
  EXPECT_EQ(pf.device, 0x1021);
  EXPECT_EQ(pf.driver, "mlx5_core");
  EXPECT_EQ(pf.mac.toString(), "4c:bb:47:00:00:05");
  EXPECT_EQ(pf.mtu, 1500);
  EXPECT_TRUE(pf.up);
  EXPECT_TRUE(pf.carrier);
  EXPECT_DOUBLE_EQ(pf.speed.value_or(BitRate{}).gbps(), 200);
  EXPECT_EQ(pf.physPortName, "p0");
  EXPECT_EQ(pf.pcie.width, 4);
  EXPECT_DOUBLE_EQ(pf.pcie.maxGigatransfers, 32);
  EXPECT_EQ(pf.totalVfs, 16);
  EXPECT_EQ(pf.autoprobe, true);
  ASSERT_THAT(pf.rdma, SizeIs(1));
  EXPECT_EQ(pf.rdma[0].name, "roceP2p1s0f0");
  EXPECT_EQ(pf.rdma[0].uverbs, "uverbs2");
  EXPECT_EQ(pf.rdma[0].portState, "ACTIVE");
  EXPECT_FALSE(node.pfs[1].up);
  EXPECT_FALSE(node.pfs[1].speed.has_value());
  ASSERT_THAT(node.gpus, SizeIs(1));
  EXPECT_EQ(node.gpus[0].driver, "nvidia");
  ASSERT_THAT(node.otherNics, SizeIs(1));
  EXPECT_EQ(node.otherNics[0].netdev, "enP7s7");
  EXPECT_THAT(node.notes, IsEmpty());
}

TEST_F(DiscoverTest, SeesVfsWhoseNetdevSitsInAPod) {
  const Node node = load("spark_vfs");
  ASSERT_THAT(node.pfs, SizeIs(4));
  ASSERT_THAT(node.pfs[0].vfs, SizeIs(4));
  const Vf& away = node.pfs[0].vfs[1];
  EXPECT_EQ(away.pci.toString(), "0000:01:00.3");
  EXPECT_EQ(away.driver, "mlx5_core");
  EXPECT_THAT(away.netdev, IsEmpty());
  EXPECT_EQ(away.rdma[0].portState, "ACTIVE");
  const Vf& here = node.pfs[0].vfs[2];
  EXPECT_EQ(here.netdev, "enp1s0f0v2");
  EXPECT_EQ(here.mtu, 9000);
  EXPECT_EQ(here.mac.toString(), "02:00:5e:10:00:03");
  EXPECT_THAT(node.pfs[1].vfs, IsEmpty());
  auto again = discoverPf(files_, paths_, node.pfs[0].pci);
  ASSERT_TRUE(again.has_value());
  EXPECT_THAT(again->vfs, SizeIs(4));
  EXPECT_EQ(discoverPf(files_, paths_, PciAddress{9, 9, 9, 0}).error().code, ErrorCode::kNotFound);
}

TEST_F(DiscoverTest, ReadsOtherMachines) {
  const Node server = load("h100");
  ASSERT_THAT(server.pfs, SizeIs(1));
  EXPECT_EQ(server.pfs[0].numaNode, 1);
  EXPECT_EQ(server.pfs[0].pcie.width, 16);
  EXPECT_EQ(server.pfs[0].vfs[0].rdma[0].nodeGuid, Guid{});
  EXPECT_TRUE(server.pfs[0].vfs[0].mac.isZero());
  EXPECT_EQ(server.gpus.at(0).numaNode, 0);
}

TEST_F(DiscoverTest, ANodeWithoutRdmaIsOrdinary) {
  const Node node = load("plain");
  EXPECT_THAT(node.pfs, IsEmpty());
  EXPECT_THAT(node.gpus, IsEmpty());
  EXPECT_EQ(node.otherNics.at(0).netdev, "eno1");
  EXPECT_THAT(describe(node, {}), HasSubstr("SR-IOV PFs: none"));
}

TEST_F(DiscoverTest, FindsSoftRoceByItsNetdev) {
  const Node node = load("igb");
  ASSERT_THAT(node.pfs, SizeIs(2));
  EXPECT_THAT(node.pfs[0].physPortName, IsEmpty());
  EXPECT_EQ(node.pfs[0].vfs[0].rdma.at(0).name, "rxe0");
  EXPECT_EQ(node.pfs[0].vfs[0].rdma.at(0).uverbs, "uverbs0");
  EXPECT_THAT(node.pfs[0].vfs[1].rdma, IsEmpty());
}

TEST_F(DiscoverTest, BelievesNothing) {
  const Node node = load("hostile");
  ASSERT_THAT(node.pfs, SizeIs(1));
  const Pf& pf = node.pfs[0];
  EXPECT_EQ(pf.vendor, 0);
  EXPECT_EQ(pf.device, 0);
  EXPECT_EQ(pf.numVfs, 0);
  EXPECT_EQ(pf.numaNode, -1);
  EXPECT_FALSE(pf.autoprobe.has_value());
  EXPECT_EQ(pf.pcie.width, 0);
  EXPECT_EQ(pf.pcie.maxWidth, 0);
  EXPECT_EQ(pf.pcie.maxGigatransfers, 0);
  EXPECT_EQ(pf.mtu, 0);
  EXPECT_FALSE(pf.up);
  EXPECT_FALSE(pf.carrier);
  EXPECT_FALSE(pf.speed.has_value());
  EXPECT_THAT(pf.physPortName, SizeIs(256));
  EXPECT_FALSE(pf.rdma.at(0).nodeGuid.has_value());
  // Neither itself, nor twice the same, nor what is no link or no number.
  ASSERT_THAT(pf.vfs, SizeIs(1));
  EXPECT_EQ(pf.vfs[0].index, 2);
  EXPECT_THAT(pf.vfs[0].netdev, IsEmpty());
  EXPECT_THAT(node.otherNics, SizeIs(1));  // more VFs than SR-IOV can have
  EXPECT_THAT(node.gpus, SizeIs(1));
  const std::string text = describe(node, pairTwins(node, {}));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("evil?[2J?name"));
}

TEST_F(DiscoverTest, StopsAtTheBound) {
  for (int i = 0; i < 5000; ++i) {
    char address[24];
    std::snprintf(address, sizeof address, "%04x:%02x:00.0", i / 256, i % 256);
    files_.put(paths_.pciDevice(address) + "/class", "0x020000\n");
    files_.put(paths_.pciDevice(address) + "/sriov_totalvfs", "4\n");
    // Each PF claims VFs without end, and every PF other ones.
    if (i < 5) {
      for (int vf = 0; vf < 1500; ++vf) {
        std::snprintf(address, sizeof address, "%04x:%02x:00.0", i / 256, i % 256);
        char target[32];
        std::snprintf(target, sizeof target, "../%x:%02x:%02x.0", 0x10000 + i * 64 + vf / 8192,
                      vf / 32, vf % 32);
        files_.putLink(paths_.pciDevice(address) + "/virtfn" + std::to_string(vf), target);
      }
    }
  }
  const Node node = read();
  EXPECT_THAT(node.pfs, SizeIs(4096));
  EXPECT_THAT(node.notes, ElementsAre("read 4096 of 5000 PCI devices"));
  std::size_t vfs = 0;
  for (const Pf& pf : node.pfs) {
    vfs += pf.vfs.size();
    EXPECT_LE(pf.vfs.size(), kMaxVfsPerPf);
  }
  EXPECT_LE(vfs, kMaxPciDevices + 1);
}

TEST_F(DiscoverTest, SaysWhenThereIsNoSysfs) {
  auto none = discoverNode(files_, paths_);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().remedy, HasSubstr("root directory"));
  files_.putDirectory(paths_.sys + "/class");
  EXPECT_THAT(read().notes, ElementsAre(HasSubstr("no PCI bus")));
}

TEST(DiscoverRealFiles, ReadsATreeBelowAnyRoot) {
  std::string root = testing::TempDir() + "railhead-tree-XXXXXX";
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  for (const char* name : {"spark_vfs", "hostile"}) {
    const std::string below = root + "/" + name;
    std::filesystem::create_directory(below);
    auto tree = testing_support::readTree(name);
    ASSERT_TRUE(tree.has_value()) << tree.error().describe();
    auto written = testing_support::writeTree(*tree, below);
    ASSERT_TRUE(written.has_value()) << written.error().describe();
    auto files = os::RootedFilesystem::open(below);
    ASSERT_TRUE(files.has_value());
    MemoryFilesystem memory;
    testing_support::putTree(*tree, memory);
    const auto real = discoverNode(**files, {});
    const auto fake = discoverNode(memory, {});
    ASSERT_TRUE(real.has_value() && fake.has_value());
    EXPECT_EQ(toJson(*real, pairTwins(*real, {})), toJson(*fake, pairTwins(*fake, {})));
  }
  std::filesystem::remove_all(root);
}

TEST_F(DiscoverTest, WritesJsonWithEveryField) {
  const Node node = load("spark_vfs");
  const auto json = nlohmann::json::parse(toJson(node, pairTwins(node, {})));
  EXPECT_EQ(json["hostname"], "spark-a");
  const auto& pf = json["pfs"][0];
  EXPECT_EQ(pf["name"], "enp1s0f0np0");
  EXPECT_EQ(pf["vendor"], "0x15b3");
  EXPECT_EQ(pf["speedGbps"], 200.0);
  EXPECT_TRUE(pf["numaNode"].is_null());
  EXPECT_EQ(pf["vfs"][1]["index"], 1);
  EXPECT_TRUE(pf["vfs"][1]["netdev"].is_null());
  EXPECT_EQ(pf["vfs"][0]["rdma"][0]["uverbs"], "uverbs1");
  EXPECT_EQ(json["cages"][0], nlohmann::json({"0000:01:00.0", "0002:01:00.0"}));
  EXPECT_TRUE(json["notes"].empty());
  files_.put("/proc/sys/kernel/hostname", "\xff\n");
  EXPECT_THAT(toJson(read(), {}), HasSubstr("\uFFFD"));
}

TEST_F(DiscoverTest, DescribesANodeForPeople) {
  const Node node = load("spark_vfs");
  const std::string text = describe(node, pairTwins(node, {}));
  EXPECT_THAT(text, HasSubstr("enp1s0f0np0  0000:01:00.0  15b3:1021 mlx5_core, up, 200 Gb/s, MTU "
                              "9000, MAC 4c:bb:47:00:00:01\n"));
  EXPECT_THAT(text, HasSubstr("PCIe x4 32 GT/s, port p0 of switch"));
  EXPECT_THAT(text, HasSubstr("VF 1  0000:01:00.3  (in another namespace), mlx5_core"));
  EXPECT_THAT(text, HasSubstr("  enp1s0f0np0 + enP2p1s0f0np0  (twins)\n"));
  EXPECT_EQ(text.back(), '\n');
  EXPECT_NE(text[text.size() - 2], '\n');
}

}  // namespace
}  // namespace railhead::discover

#include "src/advertise/rail_resource.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::advertise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PciAddress pci(const std::string& text) { return *PciAddress::parse(text); }

// A Spark-like node: two twins with `vfs` VFs each, RDMA devices on every VF.
discover::Node spark(int vfs) {
  discover::Node node;
  for (const int domain : {0, 2}) {
    discover::Pf pf;
    pf.pci = PciAddress{static_cast<std::uint32_t>(domain), 1, 0, 0};
    pf.netdev = domain == 0 ? "enp1s0f0np0" : "enP2p1s0f0np0";
    pf.up = pf.carrier = true;
    for (int i = 0; i < vfs; ++i) {
      discover::Vf vf;
      vf.pci =
          PciAddress{static_cast<std::uint32_t>(domain), 1, 0, static_cast<std::uint8_t>(2 + i)};
      vf.index = i;
      vf.driver = "mlx5_core";
      vf.numaNode = domain == 0 ? 0 : -1;
      const std::string suffix = std::to_string(domain) + "v" + std::to_string(i);
      vf.rdma.push_back(
          {"roce" + suffix, "uverbs" + std::to_string(domain * 10 + i), {}, "ACTIVE"});
      pf.vfs.push_back(vf);
    }
    node.pfs.push_back(pf);
  }
  return node;
}

std::vector<discover::RailSet> setsOf(const discover::Node& node) {
  std::vector<discover::RailSet> sets;
  for (const auto& vf : node.pfs[0].vfs) {
    discover::RailSet set;
    set.index = vf.index;
    const auto& twin = node.pfs[1].vfs[static_cast<std::size_t>(vf.index)];
    set.id = vf.pci.toString() + "+" + twin.pci.toString();
    set.rails = {{node.pfs[0].pci, vf.pci, vf.index, 0}, {node.pfs[1].pci, twin.pci, vf.index, 1}};
    sets.push_back(set);
  }
  return sets;
}

Inventory inventoryOf(const discover::Node& node, const std::vector<discover::RailSet>& sets,
                      const RailResourceConfig& resource = {}) {
  std::set<PciAddress> taken;
  return takeInventory(node, sets, resource, taken);
}

std::vector<std::string> idsOf(const Inventory& inventory) {
  std::vector<std::string> ids;
  for (const auto& set : inventory.sets) ids.push_back(set.id);
  return ids;
}

TEST(RailResource, OneDeviceCarriesBothTwins) {
  const auto node = spark(4);
  RailResource resource({.name = "nvidia.com/cx7_qsfp"}, "/dev");
  resource.update(inventoryOf(node, setsOf(node)));
  const auto devices = resource.devices();
  ASSERT_EQ(devices.size(), 4U);
  EXPECT_EQ(devices[1].id, "0000:01:00.3+0002:01:00.3");
  EXPECT_TRUE(devices[1].healthy);
  EXPECT_THAT(devices[1].numaNodes, ElementsAre(0));

  const auto answer = resource.allocate({devices[1].id});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->env.at("PCIDEVICE_NVIDIA_COM_CX7_QSFP"), "0000:01:00.3,0002:01:00.3");
  EXPECT_EQ(answer->env.at("NCCL_IB_HCA"), "=roce0v1,roce2v1");
  const auto info = nlohmann::json::parse(answer->env.at("PCIDEVICE_NVIDIA_COM_CX7_QSFP_INFO"));
  EXPECT_EQ(info["0002:01:00.3"]["generic"]["deviceID"], "0002:01:00.3");
  EXPECT_EQ(info["0002:01:00.3"]["rdma"]["uverbs"], "/dev/infiniband/uverbs21");
  std::vector<std::string> nodes;
  for (const auto& entry : answer->deviceNodes) nodes.push_back(entry.hostPath);
  EXPECT_THAT(nodes, ElementsAre("/dev/infiniband/rdma_cm", "/dev/infiniband/uverbs1",
                                 "/dev/infiniband/uverbs21"));
}

TEST(RailResource, TellsDevicesInTheOrderThatNetworksTakeThem) {
  const auto node = spark(4);
  RailResource resource({.name = "nvidia.com/cx7_qsfp"}, "/dev");
  resource.update(inventoryOf(node, setsOf(node)));
  const auto devices = resource.devices();
  const auto answer = resource.allocate({devices[2].id, devices[0].id});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->env, resource.allocate({devices[0].id, devices[2].id})->env);
  EXPECT_THAT(answer->env.at("PCIDEVICE_NVIDIA_COM_CX7_QSFP"), testing::StartsWith("0000:01:00.2"));
}

// The device nodes of a soft-RoCE device come to be after Allocate.
TEST(RailResource, SoftRoceGetsTheFolderOfDeviceNodes) {
  auto node = spark(1);
  bool soft = false;
  RailResource resource({.name = "nvidia.com/cx7_qsfp"}, "/dev", [&](const std::string& name) {
    return soft && name == "nvidia.com/cx7_qsfp";
  });
  auto inventory = inventoryOf(node, setsOf(node));
  for (auto& rail : inventory.sets.at(0).rails) rail.rdma.clear();
  const std::string id = inventory.sets.at(0).id;
  resource.update(std::move(inventory));
  EXPECT_TRUE(resource.allocate({id})->deviceNodes.empty());
  soft = true;
  const auto answer = resource.allocate({id});
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->deviceNodes.size(), 1U);
  EXPECT_EQ(answer->deviceNodes[0], (kube::DeviceNode{"/dev/infiniband", "/dev/infiniband", "rw"}));
}

TEST(RailResource, KeepsWhatAnEarlierAgentSpecifiedForAVfInAPod) {
  RailResourceConfig config{.name = "nvidia.com/cx7_qsfp"};
  config.cdi = true;
  auto node = spark(2);
  const auto sets = setsOf(node);
  RailResource earlier(config, "/dev");
  earlier.update(inventoryOf(node, sets));
  const auto whole = earlier.cdiSpec();
  CdiNodes written;
  for (const auto& device : whole.devices) written[device.name] = device.deviceNodes;
  written[whole.devices[0].name].emplace_back("/dev/sda");

  auto inventory = inventoryOf(node, sets);
  for (auto& rail : inventory.sets[0].rails) {
    rail.away = true;
    rail.rdma.clear();
  }
  RailResource later(config, "/dev");
  later.update(inventory);
  EXPECT_THAT(later.cdiSpec().devices[0].deviceNodes, testing::IsEmpty());
  later.remember(written);
  EXPECT_THAT(later.cdiSpec().devices[0].deviceNodes,
              ElementsAre("/dev/infiniband/uverbs0", "/dev/infiniband/uverbs20"))
      << "and no disk";
  // It is back under another number: what was remembered is worth nothing.
  node.pfs[0].vfs[0].rdma[0].uverbs = "uverbs7";
  later.update(inventoryOf(node, sets));
  EXPECT_THAT(later.cdiSpec().devices[0].deviceNodes,
              ElementsAre("/dev/infiniband/uverbs7", "/dev/infiniband/uverbs20"));
}

TEST(RailResource, RefusesAnUnknownIdByName) {
  RailResource resource({.name = "nvidia.com/cx7_qsfp"}, "/dev");
  const auto answer = resource.allocate({"bogus"});
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(answer.error().message, HasSubstr("'bogus'"));
}

TEST(RailResource, SaysWhyASetIsUnhealthy) {
  auto node = spark(2);
  const auto sets = setsOf(node);
  node.pfs[1].carrier = false;
  EXPECT_THAT(inventoryOf(node, sets).sets[0].unhealthy,
              HasSubstr("enP2p1s0f0np0 (0002:01:00.0) has no carrier"));
  node = spark(2);
  node.pfs[0].vfs[1].driver.clear();
  const auto inventory = inventoryOf(node, sets);
  EXPECT_EQ(inventory.sets[0].unhealthy, "");
  EXPECT_THAT(inventory.sets[1].unhealthy, HasSubstr("has no driver"));
  node.pfs[0].vfs.pop_back();
  EXPECT_THAT(inventoryOf(node, sets).sets[1].unhealthy, HasSubstr("VF 1 of enp1s0f0np0"));
  node.pfs.clear();
  EXPECT_THAT(inventoryOf(node, sets).sets[0].unhealthy, HasSubstr("PF 0000:01:00.0 is gone"));
}

TEST(RailResource, AnRdmaPortThatIsNotActiveMakesItsSetsUnhealthy) {
  auto node = spark(1);
  node.pfs[1].rdma.push_back({"roceP2p1s0f0", "uverbs9", {}, "DOWN"});
  EXPECT_THAT(inventoryOf(node, setsOf(node)).sets[0].unhealthy,
              HasSubstr("RDMA port of PF enP2p1s0f0np0 (0002:01:00.0), roceP2p1s0f0, is DOWN"));
  node.pfs[1].rdma[0].portState = "ACTIVE";
  EXPECT_EQ(inventoryOf(node, setsOf(node)).sets[0].unhealthy, "");
}

TEST(RailResource, SingleRailsAreNamedByTheirVf) {
  const auto node = spark(2);
  RailResourceConfig resource{.name = "nvidia.com/rail", .kind = ResourceKind::kRail};
  EXPECT_THAT(idsOf(inventoryOf(node, setsOf(node), resource)),
              ElementsAre("0000:01:00.2", "0002:01:00.2", "0000:01:00.3", "0002:01:00.3"));
  resource.selectors.push_back({.twin = 1});
  EXPECT_THAT(idsOf(inventoryOf(node, setsOf(node), resource)),
              ElementsAre("0002:01:00.2", "0002:01:00.3"));
}

TEST(RailResource, AVfBelongsToTheResourceThatStandsFirst) {
  const auto node = spark(4);
  Selector first;
  first.pfNames = {*VfRange::parse("enp1s0f0np0#0-1"), *VfRange::parse("enP2p1s0f0np0#0-1")};
  const RailResourceConfig some{.name = "r/some", .selectors = {first}};
  const RailResourceConfig rest{.name = "r/rest"};
  std::set<PciAddress> taken;
  EXPECT_THAT(idsOf(takeInventory(node, setsOf(node), some, taken)),
              ElementsAre("0000:01:00.2+0002:01:00.2", "0000:01:00.3+0002:01:00.3"));
  EXPECT_THAT(idsOf(takeInventory(node, setsOf(node), rest, taken)),
              ElementsAre("0000:01:00.4+0002:01:00.4", "0000:01:00.5+0002:01:00.5"));
  EXPECT_THAT(idsOf(takeInventory(node, setsOf(node), rest, taken)), testing::IsEmpty());
}

TEST(RailResource, PrefersToSpreadOverCages) {
  Inventory inventory;
  for (int cage = 0; cage < 2; ++cage) {
    for (int i = 0; i < 2; ++i) {
      InventorySet set;
      set.index = cage * 2 + i;
      set.id = "c" + std::to_string(cage) + "v" + std::to_string(i);
      set.rails.push_back(
          {{pci("0000:0" + std::to_string(cage + 1) + ":00.0"), {}, i, 0}, "", "", {}, -1, false});
      inventory.sets.push_back(set);
    }
  }
  RailResource resource({.name = "r/x"}, "/dev");
  resource.update(inventory);
  const std::vector<std::string> all{"c0v0", "c0v1", "c1v0", "c1v1"};
  EXPECT_THAT(*resource.preferred(all, {}, 2), ElementsAre("c0v0", "c1v0"));
  EXPECT_THAT(*resource.preferred(all, {"c1v1"}, 2), ElementsAre("c1v1", "c0v0"));
  EXPECT_THAT(*resource.preferred({"c0v1"}, {}, 3), ElementsAre("c0v1"));
}

TEST(RailResource, CdiNamesStandForDeviceNodes) {
  auto node = spark(2);
  for (auto& pf : node.pfs) pf.vfs[1].rdma.clear();  // soft-RoCE: there is nothing to inject
  RailResource resource({.name = "nvidia.com/cx7_qsfp", .cdi = true}, "/dev");
  resource.update(inventoryOf(node, setsOf(node)));
  const auto spec = resource.cdiSpec();
  EXPECT_EQ(spec.kind, "nvidia.com/cx7_qsfp");
  ASSERT_EQ(spec.devices.size(), 2U);
  EXPECT_EQ(spec.devices[0].name, "0000:01:00.2_0002:01:00.2");
  EXPECT_THAT(spec.devices[0].deviceNodes,
              ElementsAre("/dev/infiniband/uverbs0", "/dev/infiniband/uverbs20"));
  EXPECT_THAT(spec.common, ElementsAre("/dev/infiniband/rdma_cm"));
  const auto answer = resource.allocate({"0000:01:00.2+0002:01:00.2", "0000:01:00.3+0002:01:00.3"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->cdiDevices, ElementsAre("nvidia.com/cx7_qsfp=0000:01:00.2_0002:01:00.2"));
  EXPECT_TRUE(answer->deviceNodes.empty());
  EXPECT_EQ(answer->env.at("NCCL_IB_HCA"), "=roce0v0,roce2v0");
  resource.configure({.name = "nvidia.com/cx7_qsfp"});
  EXPECT_TRUE(resource.cdiSpec().devices.empty());
}

// RDMA exclusive mode: the device goes into the pod and out of our sight.
TEST(RailResource, AVfThatIsAwayKeepsItsDeviceNodes) {
  auto node = spark(2);
  for (auto& pf : node.pfs) {
    for (auto& vf : pf.vfs) vf.netdev = "v" + std::to_string(vf.index);
  }
  const auto sets = setsOf(node);
  RailResource resource({.name = "nvidia.com/cx7_qsfp", .cdi = true}, "/dev");
  resource.update(inventoryOf(node, sets));
  const std::string before = encodeCdiSpec(resource.cdiSpec());
  const auto answer = resource.allocate({sets[0].id});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->env.at("NCCL_IB_HCA"), "=roce0v0,roce2v0");

  for (auto& pf : node.pfs) {
    pf.vfs[0].netdev.clear();
    pf.vfs[0].rdma.clear();
  }
  for (int look = 0; look < 2; ++look) resource.update(inventoryOf(node, sets));
  EXPECT_EQ(encodeCdiSpec(resource.cdiSpec()), before);
  EXPECT_EQ(*resource.allocate({sets[0].id}), *answer);

  // Back, and as another device: what is seen counts.
  node.pfs[0].vfs[0].netdev = "v0";
  node.pfs[0].vfs[0].rdma.push_back({"roce0v0", "uverbs7", {}, "ACTIVE"});
  resource.update(inventoryOf(node, sets));
  EXPECT_THAT(resource.cdiSpec().devices[0].deviceNodes,
              ElementsAre("/dev/infiniband/uverbs7", "/dev/infiniband/uverbs20"));

  // Without a driver, or gone: nothing is kept.
  node.pfs[0].vfs[0] = spark(1).pfs[0].vfs[0];
  node.pfs[0].vfs[0].driver.clear();
  node.pfs[0].vfs[0].rdma.clear();
  node.pfs[1].vfs.erase(node.pfs[1].vfs.begin());
  resource.update(inventoryOf(node, sets));
  EXPECT_THAT(resource.cdiSpec().devices[0].deviceNodes, testing::IsEmpty());
  EXPECT_FALSE(resource.allocate({sets[0].id})->env.contains("NCCL_IB_HCA"));
}

}  // namespace
}  // namespace railhead::advertise

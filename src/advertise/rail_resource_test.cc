#include "src/advertise/rail_resource.h"

#include "src/discover/twins.h"
#include "tests/support/manual_clock.h"

#include <optional>
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
    pf.driver = "mlx5_core";
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

// Pairs the two PFs as they are in `node`.
discover::RailSets setsOf(const discover::Node& node) {
  const discover::TwinRules rules{{{"twins[0]", {"0000:01:00.0", "0002:01:00.0"}}}};
  return discover::railSets(node, discover::pairTwins(node, rules));
}

// Of `node`, which was `known` before.
Inventory inventoryOf(const discover::Node& node, const discover::Node& known,
                      const RailResourceConfig& resource = {}) {
  std::set<PciAddress> taken;
  return takeInventory({node, known, setsOf(known)}, resource, taken);
}
Inventory inventoryOf(const discover::Node& node) { return inventoryOf(node, node); }

std::vector<std::string> idsOf(const Inventory& inventory) {
  std::vector<std::string> ids;
  for (const auto& set : inventory.sets) ids.push_back(set.id);
  return ids;
}

TEST(RailResource, OneDeviceCarriesBothTwins) {
  const auto node = spark(4);
  RailResource resource({.name = "nvidia.com/cx7_qsfp"}, "/dev");
  resource.update(inventoryOf(node));
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
  resource.update(inventoryOf(node));
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
  RailResource resource(
      {.name = "nvidia.com/cx7_qsfp"}, "/dev", nullptr,
      [&](const std::string& name) { return soft && name == "nvidia.com/cx7_qsfp"; });
  auto inventory = inventoryOf(node);
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
  RailResource earlier(config, "/dev");
  earlier.update(inventoryOf(node));
  const auto whole = earlier.cdiSpec();
  CdiNodes written;
  for (const auto& device : whole.devices) written[device.name] = device.deviceNodes;
  written[whole.devices[0].name].emplace_back("/dev/sda");

  auto inventory = inventoryOf(node);
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
  later.update(inventoryOf(node));
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
  const auto whole = spark(2);
  auto node = whole;
  const auto reason = [&](std::size_t set) {
    return inventoryOf(node, whole).sets.at(set).unhealthy;
  };
  node.pfs[1].carrier = false;
  EXPECT_THAT(reason(0), HasSubstr("enP2p1s0f0np0 (0002:01:00.0) has no carrier"));
  node = whole;
  node.pfs[0].vfs[1].driver.clear();
  EXPECT_EQ(reason(0), "");
  EXPECT_THAT(reason(1), HasSubstr("has no driver"));
  node.pfs[0].vfs[1].driver = "vfio-pci";
  EXPECT_THAT(reason(1), HasSubstr("is bound to vfio-pci, which makes no netdev"));
  node.pfs[0].vfs.pop_back();
  EXPECT_THAT(reason(1), HasSubstr("VF 1 of PF enp1s0f0np0"));
  node.pfs[0].netdev.clear();
  EXPECT_THAT(reason(1), HasSubstr("PF enp1s0f0np0 (0000:01:00.0) has no netdev"));
  node.pfs[0].driver.clear();
  EXPECT_THAT(reason(1), HasSubstr("PF enp1s0f0np0 (0000:01:00.0) has no driver"));
  node.pfs.clear();
  EXPECT_THAT(reason(0), HasSubstr("PF enp1s0f0np0 (0000:01:00.0) is gone"));
}

// Selectors ask for what a VF has when it works; what is broken does not leave its resource.
TEST(RailResource, WhatIsBrokenStaysInItsResource) {
  const auto whole = spark(2);
  RailResourceConfig picky{.name = "r/picky", .kind = ResourceKind::kRail};
  picky.selectors.push_back(
      {.drivers = {"mlx5_core"}, .pfNames = {*VfRange::parse("enp1s0f0np0")}, .isRdma = true});
  const RailResourceConfig wide{.name = "r/wide", .kind = ResourceKind::kRail};
  auto node = whole;
  node.pfs[0].vfs[1].driver.clear();
  node.pfs[0].vfs[1].rdma.clear();
  const auto rails = setsOf(whole);
  std::set<PciAddress> taken;
  const auto inventory = takeInventory({node, whole, rails}, picky, taken);
  EXPECT_THAT(idsOf(inventory), ElementsAre("0000:01:00.2", "0000:01:00.3"));
  EXPECT_THAT(inventory.sets[1].unhealthy, HasSubstr("has no driver"));
  EXPECT_THAT(idsOf(takeInventory({node, whole, rails}, wide, taken)),
              ElementsAre("0002:01:00.2", "0002:01:00.3"));
  node.pfs.erase(node.pfs.begin());
  taken.clear();
  EXPECT_THAT(idsOf(takeInventory({node, whole, rails}, picky, taken)),
              ElementsAre("0000:01:00.2", "0000:01:00.3"));
}

// The cluster that this project joins: VFs on one twin, handed out one by one.
TEST(RailResource, ASingleRailNeedsNoTwin) {
  auto node = spark(4);
  node.pfs[1].vfs.clear();
  RailResourceConfig rail{.name = "nvidia.com/cx7_qsfp", .kind = ResourceKind::kRail};
  const auto inventory = inventoryOf(node, node, rail);
  EXPECT_THAT(idsOf(inventory),
              ElementsAre("0000:01:00.2", "0000:01:00.3", "0000:01:00.4", "0000:01:00.5"));
  EXPECT_EQ(inventory.sets[3].index, 3);
  EXPECT_TRUE(inventoryOf(node).sets.empty());
}

TEST(RailResource, HalfACableIsNoDeviceWhereTwoRailsAreAskedFor) {
  const auto node = spark(2);
  const auto alone = discover::railSets(node, discover::pairTwins(node, {}));
  RailResourceConfig both{.name = "r/both", .rails = 2};
  std::set<PciAddress> taken;
  const auto none = takeInventory({node, node, alone}, both, taken);
  EXPECT_TRUE(none.sets.empty());
  ASSERT_EQ(none.withheld.size(), 4U);
  EXPECT_EQ(none.withheld[0].reason,
            "rail set 0000:01:00.2 has 1 rails, and those of r/both have 2");
  EXPECT_EQ(inventoryOf(node, node, both).sets.size(), 2U);
}

TEST(RailResource, AnRdmaPortThatIsNotActiveMakesItsSetsUnhealthy) {
  auto node = spark(1);
  node.pfs[1].rdma.push_back({"roceP2p1s0f0", "uverbs9", {}, "DOWN"});
  EXPECT_THAT(inventoryOf(node).sets[0].unhealthy,
              HasSubstr("RDMA port of PF enP2p1s0f0np0 (0002:01:00.0), roceP2p1s0f0, is DOWN"));
  node.pfs[1].rdma[0].portState = "ACTIVE";
  EXPECT_EQ(inventoryOf(node).sets[0].unhealthy, "");
}

TEST(RailResource, SingleRailsAreNamedByTheirVf) {
  const auto node = spark(2);
  RailResourceConfig resource{.name = "nvidia.com/rail", .kind = ResourceKind::kRail};
  EXPECT_THAT(idsOf(inventoryOf(node, node, resource)),
              ElementsAre("0000:01:00.2", "0002:01:00.2", "0000:01:00.3", "0002:01:00.3"));
  resource.selectors.push_back({.twin = 1});
  EXPECT_THAT(idsOf(inventoryOf(node, node, resource)),
              ElementsAre("0002:01:00.2", "0002:01:00.3"));
}

TEST(RailResource, AVfBelongsToTheResourceThatStandsFirst) {
  const auto node = spark(4);
  Selector first;
  first.pfNames = {*VfRange::parse("enp1s0f0np0#0-1"), *VfRange::parse("enP2p1s0f0np0#0-1")};
  const RailResourceConfig some{.name = "r/some", .selectors = {first}};
  const RailResourceConfig rest{.name = "r/rest"};
  std::set<PciAddress> taken;
  const auto rails = setsOf(node);
  EXPECT_THAT(idsOf(takeInventory({node, node, rails}, some, taken)),
              ElementsAre("0000:01:00.2+0002:01:00.2", "0000:01:00.3+0002:01:00.3"));
  EXPECT_THAT(idsOf(takeInventory({node, node, rails}, rest, taken)),
              ElementsAre("0000:01:00.4+0002:01:00.4", "0000:01:00.5+0002:01:00.5"));
  EXPECT_THAT(idsOf(takeInventory({node, node, rails}, rest, taken)), testing::IsEmpty());
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

// Kubelet asks for the resources of a container one by one; without its topology manager nobody
// else brings the GPU and the rail together.
TEST(RailResource, PrefersToStayNearWhatTheContainerGotBefore) {
  Inventory inventory;
  for (int cage = 0; cage < 3; ++cage) {
    InventorySet set;
    set.index = cage;
    set.id = "c" + std::to_string(cage);
    set.rails.push_back(
        {{pci("0000:0" + std::to_string(cage + 1) + ":00.0"), {}, 0, 0}, "", "", {}, cage, false});
    inventory.sets.push_back(set);
  }
  testing_support::ManualClock clock;
  NumaTrail trail(clock);
  RailResource resource({.name = "r/x"}, "/dev", &trail);
  resource.update(inventory);
  const std::vector<std::string> all{"c0", "c1", "c2"};
  EXPECT_THAT(*resource.preferred(all, {}, 1), ElementsAre("c0"));
  trail.took("nvidia.com/gpu", {2});
  EXPECT_THAT(*resource.preferred(all, {}, 1), ElementsAre("c2"));
  EXPECT_THAT(*resource.preferred(all, {"c2"}, 2), ElementsAre("c2", "c0")) << "spread goes first";
  // What was taken long ago was for somebody else, and our own is no hint.
  clock.advance(std::chrono::seconds(2));
  EXPECT_THAT(*resource.preferred(all, {}, 1), ElementsAre("c0"));
  ASSERT_TRUE(resource.allocate({"c1"}).has_value());
  EXPECT_THAT(*resource.preferred(all, {}, 1), ElementsAre("c0"));
  EXPECT_THAT(trail.near("nvidia.com/gpu"), ElementsAre(1));
}

TEST(RailResource, CdiNamesStandForDeviceNodes) {
  auto node = spark(2);
  for (auto& pf : node.pfs) pf.vfs[1].rdma.clear();  // soft-RoCE: there is nothing to inject
  RailResource resource({.name = "nvidia.com/cx7_qsfp", .cdi = true}, "/dev");
  resource.update(inventoryOf(node));
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
  const auto whole = node;
  const std::string id = inventoryOf(node).sets.at(0).id;
  RailResource resource({.name = "nvidia.com/cx7_qsfp", .cdi = true}, "/dev");
  resource.update(inventoryOf(node, whole));
  const std::string before = encodeCdiSpec(resource.cdiSpec());
  const auto answer = resource.allocate({id});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->env.at("NCCL_IB_HCA"), "=roce0v0,roce2v0");

  for (auto& pf : node.pfs) {
    pf.vfs[0].netdev.clear();
    pf.vfs[0].rdma.clear();
  }
  for (int look = 0; look < 2; ++look) resource.update(inventoryOf(node, whole));
  EXPECT_EQ(encodeCdiSpec(resource.cdiSpec()), before);
  EXPECT_EQ(*resource.allocate({id}), *answer);

  // Back, and as another device: what is seen counts.
  node.pfs[0].vfs[0].netdev = "v0";
  node.pfs[0].vfs[0].rdma.push_back({"roce0v0", "uverbs7", {}, "ACTIVE"});
  resource.update(inventoryOf(node, whole));
  EXPECT_THAT(resource.cdiSpec().devices[0].deviceNodes,
              ElementsAre("/dev/infiniband/uverbs7", "/dev/infiniband/uverbs20"));

  // Without a driver, or gone: nothing is kept.
  node.pfs[0].vfs[0] = spark(1).pfs[0].vfs[0];
  node.pfs[0].vfs[0].driver.clear();
  node.pfs[0].vfs[0].rdma.clear();
  node.pfs[1].vfs.erase(node.pfs[1].vfs.begin());
  resource.update(inventoryOf(node, whole));
  EXPECT_THAT(resource.cdiSpec().devices[0].deviceNodes, testing::IsEmpty());
  EXPECT_FALSE(resource.allocate({id})->env.contains("NCCL_IB_HCA"));
}

TEST(RailResource, AContainerGetsTheProfileThereIsNow) {
  std::optional<ProfileMount> now;
  RailResource resource({.name = "nvidia.com/cx7_qsfp"}, "/dev", nullptr, {}, [&] { return now; });
  resource.update(inventoryOf(spark(1)));
  const std::vector<std::string> ids{resource.devices()[0].id};
  const auto without = *resource.allocate(ids);
  EXPECT_THAT(without.mounts, testing::IsEmpty());
  EXPECT_FALSE(without.env.contains("NCCL_CONF_FILE"));
  EXPECT_FALSE(without.env.contains("NCCL_TUNER_PLUGIN"));

  now = ProfileMount{"/run/railhead/profile/ab", "/etc/railhead", "nccl.conf", "tuner.so", "t"};
  const auto with = *resource.allocate(ids);
  EXPECT_THAT(with.mounts,
              ElementsAre(kube::Mount{"/etc/railhead", "/run/railhead/profile/ab", true}));
  EXPECT_EQ(with.env.at("NCCL_CONF_FILE"), "/etc/railhead/nccl.conf");
  EXPECT_EQ(with.env.at("NCCL_TUNER_PLUGIN"), "/etc/railhead/tuner.so");
  EXPECT_EQ(with.env.at("RAILHEAD_TUNER_TABLE"), "/etc/railhead/t");
  // Nothing else differs, and no setting of NCCL's travels as a variable.
  auto rest = with;
  rest.mounts.clear();
  for (const char* name : {"NCCL_CONF_FILE", "NCCL_TUNER_PLUGIN", "RAILHEAD_TUNER_TABLE"})
    rest.env.erase(name);
  EXPECT_EQ(rest, without);

  resource.configure({.name = "nvidia.com/cx7_qsfp", .profile = false});
  EXPECT_EQ(*resource.allocate(ids), without);
}

}  // namespace
}  // namespace railhead::advertise

#include "src/advertise/gpu_resource.h"

#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"
#include "tests/support/nvml_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::advertise {
namespace {

using gpu::MigStrategy;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using testing_support::MemoryFilesystem;
using testing_support::NvmlFixture;

const std::string kGpu = "GPU-00000000-1000-4000-8000-00000000000";
const std::string kMig = "MIG-00000000-2000-5000-8000-00000000000";

// A machine: the fake driver's fixture, /dev and /sys.
class Machine {
 public:
  explicit Machine(const std::string& fixture) : driver_(fixture) {
    files.put("/dev/nvidia-uvm", "");
    // As an eight-GPU machine has them: four on each socket.
    for (const char* bus : {"19", "3b", "4c", "5d"})
      files.put("/sys/bus/pci/devices/0000:" + std::string(bus) + ":00.0/numa_node", "0\n");
    for (const char* bus : {"9b", "bb", "cb", "db"})
      files.put("/sys/bus/pci/devices/0000:" + std::string(bus) + ":00.0/numa_node", "1\n");
  }
  gpu::GpuInventory inventory() {
    gpu::GpuLibrary library({{driver_.library()}, "/sys"}, &files);
    auto inventory = library.inventory();
    EXPECT_TRUE(inventory.has_value());
    return inventory.value_or(gpu::GpuInventory{});
  }
  GpuOffer offer(const GpuResourceConfig& config) {
    return takeGpuInventory(inventory(), config, files, paths);
  }

  MemoryFilesystem files;
  os::HostPaths paths;

 private:
  NvmlFixture driver_;
};

std::unique_ptr<GpuResource> resourceOf(const GpuOffer& offer, const GpuResourceConfig& config,
                                        std::size_t pool = 0) {
  auto resource = std::make_unique<GpuResource>(offer.pools.at(pool).resource, "/dev");
  resource->update(config, offer.pools.at(pool), offer.shared, offer.affinity);
  return resource;
}

std::vector<std::string> idsOf(const std::vector<kube::Device>& devices) {
  std::vector<std::string> ids;
  for (const auto& device : devices) ids.push_back(device.id);
  return ids;
}

std::vector<std::string> gpus(const std::string& indexes) {
  std::vector<std::string> ids;
  for (const char index : indexes) ids.push_back(kGpu + index);
  return ids;
}

TEST(GpuResourceTest, OneGpuIsTakenNearTheRailsThatTheContainerGot) {
  const GpuResourceConfig config;
  Machine machine("h100-eight");
  const auto offer = machine.offer(config);
  testing_support::ManualClock clock;
  NumaTrail trail(clock);
  GpuResource resource(offer.pools.at(0).resource, "/dev", &trail);
  resource.update(config, offer.pools.at(0), offer.shared, offer.affinity);
  EXPECT_THAT(*resource.preferred(gpus("01234567"), {}, 1), ElementsAre(kGpu + "0"));
  trail.took("nvidia.com/cx7_qsfp", {1});
  EXPECT_THAT(*resource.preferred(gpus("01234567"), {}, 1), ElementsAre(kGpu + "4"));
  EXPECT_THAT(*resource.preferred(gpus("0123"), {}, 1), ElementsAre(kGpu + "0"));
  ASSERT_TRUE(resource.allocate(gpus("5")).has_value());
  EXPECT_THAT(trail.near("nvidia.com/cx7_qsfp"), ElementsAre(1));
}

TEST(GpuResourceTest, OneGpuByEnvironment) {
  const GpuResourceConfig config;
  const auto resource = resourceOf(Machine("h100-one").offer(config), config);
  const auto devices = resource->devices();
  ASSERT_THAT(idsOf(devices), ElementsAre(kGpu + "0"));
  EXPECT_TRUE(devices[0].healthy);
  EXPECT_THAT(devices[0].numaNodes, ElementsAre(0));
  const auto answer = resource->allocate({kGpu + "0"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(*answer,
            (kube::AllocateAnswer{{{"NVIDIA_VISIBLE_DEVICES", kGpu + "0"}}, {}, {}, {}, {}}));
  const auto wrong = resource->allocate({"GPU-1"});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, HasSubstr("'GPU-1' is not one of the 1 GPUs"));
}

TEST(GpuResourceTest, VolumeMountsNameEachGpu) {
  GpuResourceConfig config;
  config.strategy = GpuListStrategy::kVolume;
  config.deviceNodes = true;
  const auto resource = resourceOf(Machine("h100-eight").offer(config), config);
  const auto answer = resource->allocate(gpus("13"));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->env.at("NVIDIA_VISIBLE_DEVICES"), "/var/run/nvidia-container-devices");
  ASSERT_EQ(answer->mounts.size(), 2U);
  EXPECT_EQ(answer->mounts[1].containerPath, "/var/run/nvidia-container-devices/" + kGpu + "3");
  EXPECT_EQ(answer->mounts[1].hostPath, "/dev/null");
  std::vector<std::string> nodes;
  for (const auto& node : answer->deviceNodes) nodes.push_back(node.hostPath);
  EXPECT_THAT(nodes, UnorderedElementsAre("/dev/nvidia1", "/dev/nvidia3", "/dev/nvidiactl",
                                          "/dev/nvidia-uvm"));
}

TEST(GpuResourceTest, CdiNamesAreInTheFieldAndInAnAnnotation) {
  GpuResourceConfig config;
  config.strategy = GpuListStrategy::kCdi;
  const auto resource = resourceOf(Machine("h100-eight").offer(config), config);
  const auto answer = resource->allocate(gpus("01"));
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(answer->cdiDevices,
              ElementsAre("nvidia.com/gpu=" + kGpu + "0", "nvidia.com/gpu=" + kGpu + "1"));
  EXPECT_EQ(answer->annotations.at("cdi.k8s.io/railhead_gpu"),
            "nvidia.com/gpu=" + kGpu + "0,nvidia.com/gpu=" + kGpu + "1");
  EXPECT_EQ(answer->env.at("NVIDIA_VISIBLE_DEVICES"), "void");
  EXPECT_THAT(answer->deviceNodes, IsEmpty());
}

TEST(GpuResourceTest, ReplicasAreDevicesOfTheirOwnAndOneGpuInTheContainer) {
  GpuResourceConfig config;
  config.replicas = 3;
  const auto resource = resourceOf(Machine("h100-eight").offer(config), config);
  const auto devices = resource->devices();
  ASSERT_EQ(devices.size(), 24U);
  EXPECT_EQ(devices[4].id, kGpu + "1::1");
  const auto answer = resource->allocate({kGpu + "1::0", kGpu + "1::2", kGpu + "4::1"});
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->env.at("NVIDIA_VISIBLE_DEVICES"), kGpu + "1," + kGpu + "4");
  // The least shared one first, and each of several on a GPU of its own.
  const auto spread = resource->preferred(
      {kGpu + "0::1", kGpu + "0::2", kGpu + "2::0", kGpu + "2::1", kGpu + "2::2"}, {}, 3);
  ASSERT_TRUE(spread.has_value());
  EXPECT_THAT(*spread, ElementsAre(kGpu + "2::0", kGpu + "0::1", kGpu + "2::1"));
  resource->setUnhealthy({{kGpu + "1", "Xid 79"}});
  EXPECT_FALSE(resource->devices()[3].healthy || resource->devices()[5].healthy);
  EXPECT_TRUE(resource->devices()[0].healthy);
}

TEST(GpuResourceTest, SeveralGpusAreNearEachOther) {
  const GpuResourceConfig config;
  Machine machine("h100-eight");
  const auto resource = resourceOf(machine.offer(config), config);
  const auto chosen = [&](const std::string& available, const std::string& must, std::size_t size) {
    return resource->preferred(gpus(available), gpus(must), size).value_or(gpus(""));
  };
  // All are joined by switches: then the same socket counts.
  EXPECT_THAT(chosen("0124567", "", 4), testing::UnorderedElementsAreArray(gpus("4567")));
  EXPECT_THAT(chosen("01245", "5", 2), UnorderedElementsAre(kGpu + "4", kGpu + "5"));
  // A single one leaves the four of the other socket together.
  EXPECT_THAT(chosen("034567", "", 1), testing::AnyOf(gpus("0"), gpus("3")));
  EXPECT_EQ(chosen("034567", "", 6).size(), 6U);
  EXPECT_THAT(chosen("01", "01", 2), testing::UnorderedElementsAreArray(gpus("01")));
}

TEST(GpuResourceTest, NvLinkComesBeforeTheSocket) {
  Machine machine("h100-eight");
  auto inventory = machine.inventory();
  for (auto& gpu : inventory.gpus) gpu.nvLinks.clear();
  // A bridge between two GPUs of different sockets.
  inventory.gpus[1].nvLinks = {{0, gpu::NvLinkPeer::kGpu, inventory.gpus[6].pci}};
  inventory.gpus[6].nvLinks = {{0, gpu::NvLinkPeer::kGpu, inventory.gpus[1].pci}};
  const GpuResourceConfig config;
  const auto resource =
      resourceOf(takeGpuInventory(inventory, config, machine.files, machine.paths), config);
  EXPECT_THAT(*resource->preferred(gpus("01234567"), {}, 2),
              testing::UnorderedElementsAreArray(gpus("16")));
  // One alone does not break the bridge.
  EXPECT_THAT(*resource->preferred(gpus("016"), {}, 1), ElementsAre(kGpu + "0"));
}

TEST(GpuResourceTest, MixedMigDevicesAreResourcesOfTheirOwn) {
  Machine machine("mig-h100");
  machine.files.put("/proc/driver/nvidia-caps/mig-minors",
                    "config 1\nmonitor 2\ngpu0/gi9/access 84\ngpu0/gi9/ci0/access 85\n");
  GpuResourceConfig config;
  config.mig = MigStrategy::kMixed;
  config.deviceNodes = true;
  const auto offer = machine.offer(config);
  ASSERT_EQ(offer.pools.size(), 3U);
  EXPECT_EQ(offer.pools[0].resource, "nvidia.com/gpu");
  EXPECT_THAT(offer.pools[0].units, IsEmpty());
  EXPECT_EQ(offer.pools[1].resource, "nvidia.com/mig-3g.40gb");
  EXPECT_EQ(offer.pools[2].resource, "nvidia.com/mig-1g.10gb");
  const auto small = resourceOf(offer, config, 2);
  EXPECT_THAT(idsOf(small->devices()), ElementsAre(kMig + "1", kMig + "2"));
  const auto answer = small->allocate({kMig + "1"});
  ASSERT_TRUE(answer.has_value());
  std::vector<std::string> nodes;
  for (const auto& node : answer->deviceNodes) nodes.push_back(node.hostPath);
  EXPECT_THAT(nodes, UnorderedElementsAre("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm",
                                          "/dev/nvidia-caps/nvidia-cap84",
                                          "/dev/nvidia-caps/nvidia-cap85"));
  // A MIG device can be ill alone, and shares its GPU's fate.
  small->setUnhealthy({{kMig + "2", "Xid 94"}});
  EXPECT_TRUE(small->devices()[0].healthy);
  EXPECT_FALSE(small->devices()[1].healthy);
  small->setUnhealthy({{kGpu + "0", "Xid 79"}});
  EXPECT_FALSE(small->devices()[0].healthy);
}

TEST(GpuResourceTest, TheSingleStrategyNeedsOneProfileOnEveryGpu) {
  GpuResourceConfig config;
  config.mig = MigStrategy::kSingle;
  Machine machine("mig-h100");
  const auto refused = machine.offer(config);
  EXPECT_THAT(refused.pools.at(0).units, IsEmpty());
  ASSERT_EQ(refused.problems.size(), 1U);
  EXPECT_THAT(refused.problems[0], HasSubstr("several profiles (1g.10gb, 3g.40gb)"));

  auto inventory = machine.inventory();
  inventory.gpus[0].migDevices.erase(inventory.gpus[0].migDevices.begin());
  const auto offer = takeGpuInventory(inventory, config, machine.files, machine.paths);
  ASSERT_EQ(offer.pools.size(), 1U);
  EXPECT_EQ(offer.pools[0].units.size(), 2U);
  inventory.gpus[0].migEnabled = false;
  const auto whole = takeGpuInventory(inventory, config, machine.files, machine.paths);
  EXPECT_EQ(whole.pools.at(0).units.at(0).uuid, kGpu + "0");
}

TEST(GpuResourceTest, AGb10IsHandedOutAlthoughItTellsNoMemory) {
  const GpuResourceConfig config;
  const auto resource = resourceOf(Machine("gb10-spark").offer(config), config);
  const auto devices = resource->devices();
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_TRUE(devices[0].healthy);
  EXPECT_THAT(devices[0].numaNodes, IsEmpty());
  EXPECT_TRUE(resource->allocate({devices[0].id}).has_value());
}

TEST(GpuCdi, WhatNoSpecificationNamesIsWithheld) {
  GpuResourceConfig config;
  config.strategy = GpuListStrategy::kCdi;
  Machine machine("h100-eight");
  auto inventory = machine.inventory();
  inventory.gpus[1].minor.reset();
  inventory.gpus[2].minor.reset();
  auto offer = takeGpuInventory(inventory, config, machine.files, machine.paths);
  withholdUnspecified(offer, {{kGpu + "2", "/etc/cdi/nvidia.yaml"}});
  ASSERT_EQ(offer.problems.size(), 1U);
  EXPECT_THAT(offer.problems[0], HasSubstr("GPU " + kGpu + "1: no CDI specification names it"));
  const auto resource = resourceOf(offer, config);
  const auto devices = resource->devices();
  EXPECT_TRUE(devices[0].healthy && devices[2].healthy);
  EXPECT_FALSE(devices[1].healthy);
  EXPECT_TRUE(resource->allocate(gpus("02")).has_value());
  const auto refused = resource->allocate(gpus("01"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr(kGpu + "1"));
}

TEST(GpuCdi, NamesGpusUnlessAnotherProgramDoes) {
  GpuResourceConfig config;
  config.strategy = GpuListStrategy::kCdi;
  const auto offer = Machine("h100-one").offer(config);
  const auto json = nlohmann::json::parse(encodeCdiSpec(gpuCdiSpec(offer, {})), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["cdiVersion"], "0.5.0");
  EXPECT_EQ(json["kind"], "nvidia.com/gpu");
  ASSERT_EQ(json["devices"].size(), 3U);
  EXPECT_EQ(json["devices"][0]["name"], kGpu + "0");
  EXPECT_EQ(json["devices"][0]["containerEdits"]["deviceNodes"][0]["path"], "/dev/nvidia0");
  EXPECT_EQ(json["devices"][1]["name"], "0");
  EXPECT_EQ(json["devices"][2]["name"], "all");
  EXPECT_EQ(json["containerEdits"]["deviceNodes"][0]["path"], "/dev/nvidiactl");
  const std::string file = "/etc/cdi/nvidia.yaml";
  EXPECT_EQ(encodeCdiSpec(gpuCdiSpec(offer, {{kGpu + "0", file}, {"0", file}, {"all", file}})), "");
}

}  // namespace
}  // namespace railhead::advertise

#include "src/gpu/gpu.h"

#include "tests/support/memory_filesystem.h"
#include "tests/support/nvml_fixture.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::gpu {
namespace {

using testing::HasSubstr;
using testing_support::MemoryFilesystem;
using testing_support::NvmlFixture;

GpuInventory inventoryOf(const NvmlFixture& fixture, os::Filesystem* filesystem = nullptr) {
  GpuLibrary library({{fixture.library()}, filesystem != nullptr ? "/sys" : ""}, filesystem);
  auto inventory = library.inventory();
  EXPECT_TRUE(inventory.has_value()) << inventory.error().describe();
  return inventory ? *inventory : GpuInventory{};
}

TEST(GpuLibraryTest, AMachineWithoutTheLibraryHasNoGpusAndThatIsNoError) {
  GpuLibrary library({{"libno-such-driver.so.1"}, ""});
  const auto inventory = library.inventory();
  ASSERT_TRUE(inventory.has_value());
  EXPECT_TRUE(inventory->gpus.empty());
  EXPECT_THAT(inventory->absence, HasSubstr("libno-such-driver.so.1"));
}

TEST(GpuLibraryTest, ALibraryWithoutALoadedDriverIsNoErrorEither) {
  NvmlFixture fixture("h100-one");
  fixture.command("fail-init 9");
  const auto inventory = inventoryOf(fixture);
  EXPECT_TRUE(inventory.gpus.empty());
  EXPECT_THAT(inventory.absence, HasSubstr("the NVIDIA driver is not loaded"));
}

TEST(GpuLibraryTest, AMismatchOfLibraryAndDriverNamesTheRemedy) {
  NvmlFixture fixture("h100-one");
  fixture.command("fail-init 18");
  GpuLibrary library({{fixture.library()}, ""});
  const auto inventory = library.inventory();
  ASSERT_FALSE(inventory.has_value());
  EXPECT_EQ(inventory.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(inventory.error().remedy, HasSubstr("reload the NVIDIA kernel modules"));
}

TEST(GpuLibraryTest, ReadsAnH100) {
  const NvmlFixture fixture("h100-one");
  MemoryFilesystem filesystem;
  filesystem.put("/sys/bus/pci/devices/0000:19:00.0/numa_node", "1\n");
  filesystem.put("/sys/bus/pci/devices/0000:19:00.0/class", "0x030200\n");
  const auto inventory = inventoryOf(fixture, &filesystem);
  EXPECT_EQ(inventory.absence, "");
  EXPECT_EQ(inventory.driver.version, "580.159.04");
  EXPECT_EQ(inventory.driver.cudaMajor, 13);
  EXPECT_EQ(inventory.driver.cudaMinor, 0);
  ASSERT_EQ(inventory.gpus.size(), 1U);
  const Gpu& gpu = inventory.gpus[0];
  EXPECT_EQ(gpu.uuid, "GPU-00000000-1000-4000-8000-000000000000");
  EXPECT_EQ(gpu.name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(gpu.pci.toString(), "0000:19:00.0");
  EXPECT_EQ(gpu.minor, 0U);
  EXPECT_EQ(gpu.memoryBytes, 85520809984U);
  EXPECT_EQ(gpu.compute, (ComputeCapability{9, 0}));
  EXPECT_EQ(gpu.numaNode, 1);
  EXPECT_EQ(gpu.pciClass, 0x030200U);
  EXPECT_TRUE(gpu.migCapable);
  EXPECT_FALSE(gpu.migEnabled);
  EXPECT_TRUE(gpu.nvLinks.empty());
  ASSERT_TRUE(gpu.ecc.has_value());
  EXPECT_EQ(gpu.pcie.maxGeneration, 5U);
  EXPECT_EQ(gpu.pcie.width, 16U);
}

TEST(GpuLibraryTest, AnUnknownNumaNodeIsAbsent) {
  const NvmlFixture fixture("h100-one");
  MemoryFilesystem filesystem;
  filesystem.put("/sys/bus/pci/devices/0000:19:00.0/numa_node", "-1\n");
  const auto inventory = inventoryOf(fixture, &filesystem);
  ASSERT_EQ(inventory.gpus.size(), 1U);
  EXPECT_FALSE(inventory.gpus[0].numaNode.has_value());
  EXPECT_FALSE(inventory.gpus[0].pciClass.has_value());
}

TEST(GpuLibraryTest, AGb10HasNoMemoryFigureAndIsAGpuAllTheSame) {
  const auto inventory = inventoryOf(NvmlFixture("gb10-spark"));
  ASSERT_EQ(inventory.gpus.size(), 1U);
  EXPECT_TRUE(inventory.problems.empty());
  EXPECT_FALSE(inventory.gpus[0].memoryBytes.has_value());
  EXPECT_EQ(inventory.gpus[0].compute, (ComputeCapability{12, 1}));
  EXPECT_EQ(inventory.gpus[0].pci.toString(), "000f:01:00.0");
  EXPECT_FALSE(inventory.gpus[0].migCapable);
}

TEST(GpuLibraryTest, EightGpusKnowTheirNvSwitchesAndEachOther) {
  const auto inventory = inventoryOf(NvmlFixture("h100-eight"));
  ASSERT_EQ(inventory.gpus.size(), 8U);
  std::set<std::string> uuids;
  for (const auto& gpu : inventory.gpus) {
    uuids.insert(gpu.uuid);
    EXPECT_EQ(gpu.nvLinks.size(), 18U);
    EXPECT_EQ(gpu.nvLinks.front().peer, NvLinkPeer::kSwitch);
    EXPECT_EQ(gpu.distances.size(), 7U);
  }
  EXPECT_EQ(uuids.size(), 8U);
  EXPECT_EQ(inventory.gpus[5].distances[4].index, 4U);
  EXPECT_EQ(inventory.gpus[5].distances[4].distance, Distance::kNumaNode);
  EXPECT_EQ(inventory.gpus[5].distances[0].distance, Distance::kSystem);
}

TEST(GpuLibraryTest, MigDevicesOfSparseSlotsAreAllFound) {
  const auto inventory = inventoryOf(NvmlFixture("mig-h100"));
  ASSERT_EQ(inventory.gpus.size(), 1U);
  const auto& migs = inventory.gpus[0].migDevices;
  ASSERT_EQ(migs.size(), 3U);
  EXPECT_EQ(migs[0].profile, "3g.40gb");
  EXPECT_EQ(migs[2].profile, "1g.10gb");
  EXPECT_EQ(migs[2].gpuInstance, 10U);
  EXPECT_EQ(migs[2].memoryBytes, 9984ULL << 20);
}

TEST(GpuLibraryTest, ALostGpuIsAProblemOfItsOwnNotOfTheOthers) {
  NvmlFixture fixture("h100-eight");
  fixture.command("lose 3");
  const auto inventory = inventoryOf(fixture);
  EXPECT_EQ(inventory.gpus.size(), 7U);
  ASSERT_EQ(inventory.problems.size(), 1U);
  EXPECT_THAT(inventory.problems[0], HasSubstr("GPU 3: the GPU is lost"));
}

TEST(GpuLibraryTest, AnOldDriverLacksCallsAndSoThoseFacts) {
  const NvmlFixture fixture("mig-h100", RAILHEAD_FAKE_NVML_OLD_LIBRARY);
  const auto inventory = inventoryOf(fixture);
  ASSERT_EQ(inventory.gpus.size(), 1U);
  EXPECT_FALSE(inventory.gpus[0].migCapable);
  EXPECT_FALSE(inventory.gpus[0].memoryNumaNode.has_value());
  EXPECT_TRUE(inventory.gpus[0].memoryBytes.has_value());
}

TEST(GpuLibraryTest, TheMigProfileIsComputedWhereTheNameLacksIt) {
  NvmlFixture fixture("mig-h100");
  // The name of the GPU, as older drivers answer; the fixture's third device has 9984 of 81559 MiB.
  fixture.command("set-mig 0 2 nvmlDeviceGetName \"NVIDIA H100 80GB HBM3\"");
  const auto inventory = inventoryOf(fixture);
  ASSERT_EQ(inventory.gpus.size(), 1U);
  EXPECT_EQ(inventory.gpus[0].migDevices[2].profile, "1g.10gb");
}

TEST(GpuLibraryTest, ControlCharactersOfADriverDoNotReachALog) {
  NvmlFixture fixture("h100-one");
  fixture.command("set 0 nvmlDeviceGetName \"NVIDIA\\u001b[31m\\nX\"");
  EXPECT_EQ(inventoryOf(fixture).gpus.at(0).name, "NVIDIA[31mX");
}

TEST(GpuLibraryTest, KeepsOneSessionUntilReleased) {
  NvmlFixture fixture("h100-one");
  {
    GpuLibrary library({{fixture.library()}, ""});
    ASSERT_TRUE(library.inventory().has_value());
    ASSERT_TRUE(library.inventory().has_value());
    EXPECT_EQ(fixture.sessions(), 1);
    EXPECT_FALSE(fixture.tryCommand("reset 0"));  // as nvidia-smi: in use
    library.release();
    EXPECT_EQ(fixture.sessions(), 0);
    EXPECT_TRUE(fixture.tryCommand("reset 0"));
    ASSERT_TRUE(library.inventory().has_value());
  }
  EXPECT_EQ(fixture.sessions(), 0);
}

}  // namespace
}  // namespace railhead::gpu

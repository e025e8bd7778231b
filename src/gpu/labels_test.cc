#include "src/gpu/labels.h"

#include "tests/support/nvml_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::gpu {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Key;
using testing::Not;
using testing::Pair;
using testing_support::NvmlFixture;
using Labels = std::map<std::string, std::string>;

GpuInventory inventoryOf(const std::string& name) {
  const NvmlFixture fixture(name);
  GpuLibrary library({{fixture.library()}, ""});
  auto inventory = library.inventory();
  EXPECT_TRUE(inventory.has_value());
  return inventory ? *inventory : GpuInventory{};
}

struct LabelCase {
  const char* what;
  const char* fixture;
  LabelOptions options;
  Labels expected;  // among others
  std::vector<const char*> absent;
};

class LabelsTest : public testing::TestWithParam<LabelCase> {};

TEST_P(LabelsTest, AreThoseOfGpuFeatureDiscovery) {
  const auto labels = gpuLabels(inventoryOf(GetParam().fixture), GetParam().options);
  EXPECT_THAT(labels, IsSupersetOf(GetParam().expected));
  for (const char* key : GetParam().absent) EXPECT_THAT(labels, Not(Contains(Key(key))));
  for (const auto& [key, value] : labels) EXPECT_EQ(value, labelValue(value)) << key;
}

INSTANTIATE_TEST_SUITE_P(
    Table, LabelsTest,
    testing::Values(
        LabelCase{"one H100",
                  "h100-one",
                  {},
                  {{"nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"},
                   {"nvidia.com/gpu.count", "1"},
                   {"nvidia.com/gpu.replicas", "1"},
                   {"nvidia.com/gpu.sharing-strategy", "none"},
                   {"nvidia.com/gpu.memory", "81559"},
                   {"nvidia.com/gpu.family", "hopper"},
                   {"nvidia.com/gpu.compute.major", "9"},
                   {"nvidia.com/gpu.compute.minor", "0"},
                   {"nvidia.com/mig.capable", "true"},
                   {"nvidia.com/cuda.driver-version.full", "580.159.04"},
                   {"nvidia.com/cuda.driver-version.major", "580"},
                   {"nvidia.com/cuda.driver-version.minor", "159"},
                   {"nvidia.com/cuda.driver-version.revision", "04"},
                   {"nvidia.com/cuda.runtime-version.full", "13.0"},
                   {"nvidia.com/cuda.runtime-version.major", "13"},
                   {"nvidia.com/cuda.runtime-version.minor", "0"}},
                  {"nvidia.com/mig.strategy"}},
        LabelCase{"eight shared by four",
                  "h100-eight",
                  {4, MigStrategy::kNone},
                  {{"nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3-SHARED"},
                   {"nvidia.com/gpu.count", "8"},
                   {"nvidia.com/gpu.replicas", "4"},
                   {"nvidia.com/gpu.sharing-strategy", "time-slicing"}},
                  {}},
        LabelCase{"a Spark, whose memory query is not supported",
                  "gb10-spark",
                  {},
                  {{"nvidia.com/gpu.product", "NVIDIA-GB10"},
                   {"nvidia.com/gpu.family", "blackwell"},
                   {"nvidia.com/gpu.compute.major", "12"},
                   {"nvidia.com/gpu.compute.minor", "1"},
                   {"nvidia.com/mig.capable", "false"},
                   {"nvidia.com/cuda.runtime-version.full", "13.0"}},
                  {"nvidia.com/gpu.memory"}},
        LabelCase{"MIG devices of two profiles, mixed",
                  "mig-h100",
                  {1, MigStrategy::kMixed},
                  {{"nvidia.com/mig.strategy", "mixed"},
                   {"nvidia.com/gpu.count", "1"},
                   {"nvidia.com/gpu.replicas", "0"},
                   {"nvidia.com/mig-1g.10gb.count", "2"},
                   {"nvidia.com/mig-1g.10gb.product", "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"},
                   {"nvidia.com/mig-1g.10gb.memory", "9984"},
                   {"nvidia.com/mig-1g.10gb.slices.gi", "1"},
                   {"nvidia.com/mig-3g.40gb.count", "1"},
                   {"nvidia.com/mig-3g.40gb.multiprocessors", "60"},
                   {"nvidia.com/mig-3g.40gb.engines.decoder", "3"}},
                  {}},
        LabelCase{"two profiles do not fit the single strategy",
                  "mig-h100",
                  {1, MigStrategy::kSingle},
                  {{"nvidia.com/mig.strategy", "single"},
                   {"nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3-MIG-INVALID"},
                   {"nvidia.com/gpu.count", "0"},
                   {"nvidia.com/gpu.memory", "0"}},
                  {}},
        LabelCase{"the single strategy without MIG is none",
                  "h100-one",
                  {1, MigStrategy::kSingle},
                  {{"nvidia.com/mig.strategy", "single"}, {"nvidia.com/gpu.count", "1"}},
                  {}}),
    [](const auto& each) { return "case" + std::to_string(each.index); });

TEST(GpuLabelsTest, OneProfileOnEveryGpuFitsTheSingleStrategy) {
  auto inventory = inventoryOf("mig-h100");
  inventory.gpus[0].migDevices.erase(inventory.gpus[0].migDevices.begin());
  const auto labels = gpuLabels(inventory, {1, MigStrategy::kSingle});
  EXPECT_THAT(labels,
              IsSupersetOf(Labels{{"nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"},
                                  {"nvidia.com/gpu.count", "2"},
                                  {"nvidia.com/gpu.memory", "9984"},
                                  {"nvidia.com/gpu.replicas", "1"}}));
}

TEST(GpuLabelsTest, ANodeWithoutGpusHasNone) { EXPECT_THAT(gpuLabels({}, {}), IsEmpty()); }

TEST(GpuLabelsTest, TheModeComesFromThePciClass) {
  auto inventory = inventoryOf("h100-one");
  EXPECT_THAT(gpuLabels(inventory, {}), Contains(Pair("nvidia.com/gpu.mode", "unknown")));
  inventory.gpus[0].pciClass = 0x030200;
  EXPECT_THAT(gpuLabels(inventory, {}), Contains(Pair("nvidia.com/gpu.mode", "compute")));
  inventory.gpus[0].pciClass = 0x030000;
  EXPECT_THAT(gpuLabels(inventory, {}), Contains(Pair("nvidia.com/gpu.mode", "graphics")));
}

TEST(LabelValueTest, BecomesWhatKubernetesTakes) {
  EXPECT_EQ(labelValue("NVIDIA H100 80GB HBM3"), "NVIDIA-H100-80GB-HBM3");
  EXPECT_EQ(labelValue("  NVIDIA   RTX\t6000  "), "NVIDIA-RTX-6000");
  EXPECT_EQ(labelValue("Quadro (TM) 1/2"), "Quadro-TM-12");
  EXPECT_EQ(labelValue("-._x_.-"), "x");
  EXPECT_EQ(labelValue("\xc3\xa9"), "");
  EXPECT_EQ(labelValue(std::string(62, 'a') + "--b"), std::string(62, 'a'));
  EXPECT_EQ(labelValue(std::string(100, 'a')).size(), 63U);
}

TEST(GpuFamilyTest, FollowsTheComputeCapability) {
  EXPECT_EQ(gpuFamily({7, 0}), "volta");
  EXPECT_EQ(gpuFamily({7, 5}), "turing");
  EXPECT_EQ(gpuFamily({8, 0}), "ampere");
  EXPECT_EQ(gpuFamily({8, 9}), "ada-lovelace");
  EXPECT_EQ(gpuFamily({10, 0}), "blackwell");
  EXPECT_EQ(gpuFamily({99, 0}), "undefined");
}

}  // namespace
}  // namespace railhead::gpu

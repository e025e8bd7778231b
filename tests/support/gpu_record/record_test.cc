// Recorder and fake against each other: what the fake answers from a fixture, recorded, is that
// fixture again. So a recording of a real machine says on the fake what the machine said.
#include "src/gpu/gpu.h"
#include "src/gpu/labels.h"
#include "src/gpu/nvml.h"
#include "tests/support/gpu_record/recording.h"
#include "tests/support/memory_filesystem.h"
#include "tests/support/nvml_fixture.h"

#include <fstream>

#include <gtest/gtest.h>

namespace railhead::testing_support {
namespace {

using Json = nlohmann::ordered_json;

// Everything that `part` has, `whole` has too.
void expectWithin(const Json& part, const Json& whole, const std::string& where) {
  if (!part.is_object()) {
    EXPECT_EQ(part, whole) << where;
    return;
  }
  ASSERT_TRUE(whole.is_object()) << where << ": " << whole;
  for (const auto& [key, value] : part.items())
    expectWithin(value, whole.value(key, Json("missing")), where + "/" + key);
}

class RecordTest : public testing::TestWithParam<const char*> {};

TEST_P(RecordTest, AFixtureRecordedIsTheFixture) {
  NvmlFixture fixture(GetParam());
  auto opening = gpu::Nvml::open({fixture.library()});
  ASSERT_TRUE(opening.has_value() && opening->session);
  const auto recording = recordNvml(opening->session);
  std::ifstream in("tests/fixtures/nvml/" + std::string(GetParam()) + ".json");
  const Json file = Json::parse(in, nullptr, false);
  expectWithin(file["system"], recording.system, "system");
  ASSERT_EQ(recording.gpus.size(), file["gpus"].size());
  for (std::size_t i = 0; i < file["gpus"].size(); ++i) {
    const std::string where = "gpus[" + std::to_string(i) + "]";
    Json gpu = file["gpus"][i];
    if (gpu.contains("migDevices")) {
      const Json migs = gpu["migDevices"];
      gpu.erase("migDevices");
      ASSERT_EQ(migs.size(), recording.gpus[i]["migDevices"].size());
      for (std::size_t m = 0; m < migs.size(); ++m)
        expectWithin(migs[m], recording.gpus[i]["migDevices"][m], where + " MIG");
    }
    expectWithin(gpu, recording.gpus[i], where);
  }
  EXPECT_EQ(fixture.eventSets(), 0);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, RecordTest,
                         testing::Values("h100-recorded", "h200-recorded", "h100-one", "h100-eight",
                                         "mig-h100", "gb10-spark"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::erase(name, '-');
                           return name;
                         });

// What the program said of the real machine it says of the recording, too.
class RecordedMachine : public testing::TestWithParam<const char*> {};
TEST_P(RecordedMachine, GivesTheLabelsThatTheMachineGave) {
  NvmlFixture fixture(GetParam());
  std::ifstream in(std::string("tests/fixtures/nvml/") + GetParam() + ".json");
  const Json recorded = Json::parse(in, nullptr, false)["recorded"];
  MemoryFilesystem files;
  files.put("/sys/bus/pci/devices/0000:00:06.0/class", "0x030200\n");
  ASSERT_EQ(recorded["inventory"]["gpus"][0]["pciClass"], 0x030200);
  gpu::GpuLibrary library({{fixture.library()}, "/sys"}, &files);
  const auto inventory = library.inventory();
  ASSERT_TRUE(inventory.has_value()) << inventory.error().describe();
  const Json labels = gpu::gpuLabels(*inventory, {});
  EXPECT_EQ(nlohmann::json(labels), nlohmann::json(recorded["labels"]));
}

INSTANTIATE_TEST_SUITE_P(Recordings, RecordedMachine,
                         testing::Values("h100-recorded", "h200-recorded"),
                         [](const auto& each) { return std::string(each.param).substr(0, 4); });

}  // namespace
}  // namespace railhead::testing_support

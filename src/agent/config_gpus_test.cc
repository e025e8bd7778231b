#include "src/agent/config_gpus.h"

#include "src/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<AgentConfig> parse(const std::string& rest) {
  return parseConfig("version: 1\n" + rest, "f");
}

TEST(ConfigGpus, ReadsEverything) {
  const auto config = parse(R"(functions: {gpus: false}
gpus:
  resource: example.com/gpu
  strategy: volume
  replicas: 4
  mig: mixed
  deviceNodes: true
  ignoreXids: [63, 94]
  labelsFile: /etc/kubernetes/node-feature-discovery/features.d/railhead
)");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_FALSE(config->functions.gpus);
  const auto& gpus = config->gpus;
  EXPECT_EQ(gpus.resource.name, "example.com/gpu");
  EXPECT_EQ(gpus.resource.strategy, advertise::GpuListStrategy::kVolume);
  EXPECT_EQ(gpus.resource.replicas, 4U);
  EXPECT_EQ(gpus.resource.mig, gpu::MigStrategy::kMixed);
  EXPECT_TRUE(gpus.resource.deviceNodes);
  EXPECT_THAT(gpus.ignoreXids, ElementsAre(63, 94));
  EXPECT_EQ(gpus.labelsFile, "/etc/kubernetes/node-feature-discovery/features.d/railhead");
}

TEST(ConfigGpus, HasDefaults) {
  const auto config = parse("");
  ASSERT_TRUE(config.has_value());
  EXPECT_TRUE(config->functions.gpus);
  EXPECT_EQ(config->gpus, GpusConfig());
  EXPECT_EQ(config->gpus.resource.name, "nvidia.com/gpu");
  // In the place of sriov-network-device-plugin it is that plugin alone.
  const auto foreign = parseConfig(R"({"resourceList": [{"resourceName": "x"}]})", "f");
  ASSERT_TRUE(foreign.has_value()) << foreign.error().message;
  EXPECT_FALSE(foreign->functions.gpus);
}

TEST(ConfigGpus, EveryRefusalNamesLineFieldValueAndWhatIsAllowed) {
  struct Case {
    const char* text;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases{
      {"gpus: {strategy: envvar}", {"f:2: gpus.strategy", "'envvar'", "env, volume, cdi"}},
      {"gpus: {mig: both}", {"f:2: gpus.mig", "'both'", "none, single, mixed"}},
      {"gpus:\n  replicas: 0", {"f:3: gpus.replicas", "0", "1 to 128"}},
      {"gpus: {replicas: 129}", {"gpus.replicas", "129", "1 to 128"}},
      {"gpus: {replicas: -1}", {"gpus.replicas", "-1"}},
      {"gpus: {resource: gpu}", {"gpus.resource", "'gpu'", "domain/name"}},
      {"gpus: {ignoreXids: [0]}", {"gpus.ignoreXids[0]", "0", "1 to 65535"}},
      {"gpus: {ignoreXids: 5}", {"gpus.ignoreXids"}},
      {"gpus: {labelsFile: features.d/railhead}", {"gpus.labelsFile", "an absolute path"}},
      {"gpus: {labelsFile: /etc/../x}", {"gpus.labelsFile", "without '..'"}},
      {"gpus: {labelsFile: /etc/}", {"gpus.labelsFile"}},
      {"gpus: {labelsFile: ''}", {"gpus.labelsFile"}},
      {"gpus: {deviceNodes: maybe}", {"gpus.deviceNodes", "true, false"}},
      {"gpus: {strategy: cdi, deviceNodes: true}", {"gpus.deviceNodes", "allowed: false"}},
      {"gpus: {xids: [3]}", {"gpus", "xids"}},
      {"gpus: [1]", {"gpus"}},
      {"functions: {gpus: auto}", {"functions.gpus", "true, false"}},
      {"resources: [{name: nvidia.com/gpu}]",
       {"f:2: resources[0].name", "'nvidia.com/gpu'", "which is the GPUs'"}},
      {"resources: [{name: a.io/100g, cdi: true}]", {"resources[0].cdi", "begin with a letter"}},
  };
  for (const auto& one : cases) {
    const auto config = parse(one.text);
    ASSERT_FALSE(config.has_value()) << one.text;
    for (const auto& part : one.parts)
      EXPECT_THAT(config.error().message, HasSubstr(part)) << one.text;
  }
  EXPECT_TRUE(parse("functions: {gpus: false}\nresources: [{name: nvidia.com/gpu}]").has_value());
  EXPECT_TRUE(parse("resources: [{name: a.io/gpu}, {name: b.io/gpu}]").has_value());
}

}  // namespace
}  // namespace railhead::agent

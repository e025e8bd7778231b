#include "src/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using advertise::ResourceKind;
using testing::ElementsAre;
using testing::HasSubstr;

std::string refusalOf(const std::string& text) {
  const auto parsed = parseConfig(text, "f");
  return parsed.has_value() ? "accepted" : parsed.error().message;
}

std::string resource(const std::string& fields) {
  return "version: 1\nresources:\n  - {name: r.io/x, " + fields + "}\n";
}

TEST(ConfigResources, ReadsKindsAndSelectors) {
  const auto config = parseConfig(R"(version: 1
resources:
  - name: nvidia.com/cx7_qsfp
    rails: 2
    select: {vendors: ["15b3"], pfNames: ["enp1s0f0np0#0-3", "enP2p1s0f0np0#0-3"], isRdma: true}
  - name: nvidia.com/cx7_p1
    kind: rail
    topology: false
    cdi: true
    select:
      - {ports: p1, twin: 0, linkTypes: [ether]}
      - {rootDevices: ["0002:01:00.1"], drivers: [mlx5_core], devices: [101e]}
      - {pciAddresses: ["0000:01:00.5"]}
)",
                                  "f");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  ASSERT_EQ(config->resources.size(), 2U);
  const auto& set = config->resources[0];
  EXPECT_EQ(set.kind, ResourceKind::kRailSet);
  EXPECT_EQ(set.rails, 2U);
  EXPECT_EQ(config->resources[1].rails, 0U) << "any number";
  EXPECT_THAT(refusalOf(resource("rails: 9")), HasSubstr("resources[0].rails"));
  EXPECT_THAT(refusalOf(resource("kind: rail, rails: 2")), HasSubstr("resources[0].rails"));
  ASSERT_EQ(set.selectors.size(), 1U);
  EXPECT_THAT(set.selectors[0].vendors, ElementsAre(0x15b3));
  EXPECT_EQ(set.selectors[0].pfNames.at(1).pf, "enP2p1s0f0np0");
  EXPECT_TRUE(set.selectors[0].isRdma);
  const auto& rail = config->resources[1];
  EXPECT_EQ(rail.kind, ResourceKind::kRail);
  EXPECT_FALSE(rail.topology);
  EXPECT_TRUE(rail.cdi);
  ASSERT_EQ(rail.selectors.size(), 3U);
  EXPECT_THAT(rail.selectors[0].ports, ElementsAre("p1"));
  EXPECT_EQ(rail.selectors[0].twin, 0);
  EXPECT_EQ(rail.selectors[1].rootDevices.at(0).pf, "0002:01:00.1");
  EXPECT_EQ(rail.selectors[2].pciAddresses.at(0).toString(), "0000:01:00.5");
}

TEST(ConfigResources, EveryRefusalNamesLineFieldValueAndWhatIsAllowed) {
  struct Case {
    std::string text;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases{
      {resource("kind: pair"), {"f:3: resources[0].kind is 'pair'", "rail-set", "rail (one VF)"}},
      {resource("select: {pfNames: ['eth0#3-1']}"), {"select.pfNames[0] is 'eth0#3-1'", "#0-3"}},
      {resource("select: {rootDevices: [eth0]}"), {"rootDevices[0] is 'eth0'", "0000:01:00.0"}},
      {resource("select: {pciAddresses: [x]}"), {"pciAddresses[0] is 'x'", "a PCI address"}},
      {resource("select: {vendors: [intel]}"), {"vendors[0] is 'intel'", "15b3"}},
      {resource("select: {linkTypes: [fibre]}"), {"linkTypes[0] is 'fibre'", "ether, infiniband"}},
      {resource("select: {twin: 9}"), {"twin is '9'", "0 to 7"}},
      {resource("select: {pfName: eth0}"), {"select.pfName is unknown", "pfNames"}},
      {resource("select: {vendors: []}"), {"vendors"}},
      {resource("topology: perhaps"), {"topology is 'perhaps'", "true, false"}},
      {"version: 1\nresources: [{name: a.io/x}, {name: a.io/x}]", {"resources[1].name", "twice"}},
      {"version: 1\nresources: [{name: kubernetes.io/x}]", {"'kubernetes.io/x'", "domain/name"}},
  };
  for (const auto& one : cases) {
    const std::string message = refusalOf(one.text);
    for (const auto& part : one.parts) EXPECT_THAT(message, HasSubstr(part)) << one.text;
  }
}

// As the reference cluster has it.
constexpr const char* kPluginConfig = R"({
  "resourceList": [
    {
      "resourceName": "cx7_qsfp",
      "resourcePrefix": "nvidia.com",
      "excludeTopology": true,
      "selectors": {
        "vendors": ["15b3"],
        "devices": ["101e"],
        "drivers": ["mlx5_core"],
        "pfNames": ["enp1s0f0np0#0-3"],
        "needVhostNet": false,
        "isRdma": true
      }
    },
    {
      "resourceName": "intel_sriov",
      "deviceType": "netDevice",
      "selectors": [{"vendors": ["8086"]}, {"rootDevices": ["0000:86:00.0"]}]
    }
  ]
})";

TEST(ConfigResources, TakesTheConfigurationOfTheSriovDevicePlugin) {
  const auto config = parseConfig(kPluginConfig, "config.json");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_FALSE(config->functions.provision);
  EXPECT_FALSE(config->functions.cni);
  EXPECT_TRUE(config->functions.rails);
  ASSERT_EQ(config->resources.size(), 2U);
  EXPECT_EQ(config->resources[0].name, "nvidia.com/cx7_qsfp");
  EXPECT_EQ(config->resources[0].kind, ResourceKind::kRail);
  EXPECT_FALSE(config->resources[0].topology);
  EXPECT_EQ(config->resources[0].selectors.at(0).pfNames.at(0).vfs.at(0).second, 3);
  EXPECT_EQ(config->resources[1].name, "intel.com/intel_sriov");
  EXPECT_EQ(config->resources[1].selectors.size(), 2U);
}

// As sriov-network-operator and templates write it: Go's names, copies, lists without a value.
TEST(ConfigResources, TakesWhatGoWrites) {
  const auto config = parseConfig(
      R"({"resourceList": [{"resourceName": "x", "SelectorObj": null, "additionalInfo": {},)"
      R"( "selectors": {"vendors": ["15b3"], "devices": [], "drivers": [], "ddpProfiles": [],)"
      R"( "vdpaType": "", "IsRdma": true, "NeedVhostNet": false}}]})",
      "config.json");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  const auto& selector = config->resources.at(0).selectors.at(0);
  EXPECT_EQ(selector.vendors, std::vector<std::uint16_t>{0x15b3});
  EXPECT_TRUE(selector.devices.empty());
  EXPECT_TRUE(selector.isRdma);
}

TEST(ConfigResources, WhatCannotBeServedIsRefusedByName) {
  const auto list = [](const std::string& fields) {
    return refusalOf(R"({"resourceList": [{"resourceName": "x", )" + fields + "}]}");
  };
  EXPECT_THAT(list(R"("deviceType": "accelerator")"), HasSubstr("deviceType is 'accelerator'"));
  EXPECT_THAT(list(R"("selectors": {"needVhostNet": true})"), HasSubstr("needVhostNet"));
  EXPECT_THAT(list(R"("selectors": {"ddpProfiles": ["GTPv1"]})"), HasSubstr("ddpProfiles"));
  EXPECT_THAT(list(R"("selectors": {"vendor": ["8086"]})"), HasSubstr("vendor is unknown"));
  EXPECT_THAT(list(R"("selectors": {"NeedVhostNet": true})"), HasSubstr("NeedVhostNet"));
  EXPECT_THAT(list(R"("selectors": {"isRdma": true, "IsRdma": false})"), HasSubstr("given twice"));
  EXPECT_THAT(list(R"("selectors": [])"), HasSubstr("selectors has 0 entries"));
  EXPECT_THAT(list(R"("additionalInfo": {"*": {"t": "v"}})"), HasSubstr("additionalInfo"));
  EXPECT_THAT(refusalOf(R"({"resourceList": []})"), HasSubstr("resourceList"));
  // What kubelet would refuse at the registration is refused here, by line and field.
  const auto named = [](const std::string& fields) {
    return refusalOf("{\"resourceList\": [\n{" + fields + ", \"selectors\": {}}]}");
  };
  const std::string name = named(R"("resourceName": "cx7 qsfp")");
  EXPECT_THAT(name, HasSubstr("2"));
  EXPECT_THAT(name, HasSubstr("resourceList[0].resourceName is 'cx7 qsfp'"));
  EXPECT_THAT(named(R"("resourceName": "-x")"), HasSubstr("resourceName is '-x'"));
  EXPECT_THAT(named(R"("resourceName": "x", "resourcePrefix": "a_b")"),
              HasSubstr("resourceList[0].resourcePrefix is 'a_b'"));
  EXPECT_THAT(named(R"("resourceName": "x", "resourcePrefix": "kubernetes.io")"),
              HasSubstr("resourcePrefix is 'kubernetes.io'"));
  EXPECT_THAT(refusalOf(R"({"resourceList": [{"selectors": {}}]})"), HasSubstr("resourceName"));
}

}  // namespace
}  // namespace railhead::agent

#include "src/attach/nad_config.h"

#include "src/attach/network_catalog.h"
#include "src/attach/plugin_config.h"
#include "tests/support/memory_filesystem.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Nad nad(std::string config = "") {
  return {"ml", "fast", "nvidia.com/cx7_qsfp", std::move(config)};
}

std::vector<std::string> typesOf(const Network& network) {
  std::vector<std::string> types;
  for (const auto& plugin : network.plugins) types.push_back(plugin.type);
  return types;
}

// The reference cluster's.
constexpr const char* kReference =
    R"({"cniVersion":"0.3.1","type":"sriov","name":"dgx-qsfp","rdma":true,"link_state":"enable",)"
    R"("logLevel":"info","ipam":{"type":"host-local","subnet":"10.100.0.0/24"}})";

TEST(NadConfig, ReadsTheReferenceClustersNetwork) {
  const auto network = networkFrom(nad(), kReference);
  ASSERT_TRUE(network.has_value()) << network.error().describe();
  ASSERT_TRUE(network->rails.has_value());
  EXPECT_EQ(network->cniVersion, "0.3.1");
  EXPECT_EQ(network->rails->resourceName, "nvidia.com/cx7_qsfp");
  EXPECT_EQ(network->rails->rdma, RdmaUse::kDevice);
  EXPECT_EQ(network->rails->vf.linkState, netlink::VfLinkState::kEnable);
  EXPECT_EQ(network->rails->ipamType, "host-local");
  EXPECT_THAT(network->rails->ipamConfig, HasSubstr(R"("subnet":"10.100.0.0/24")"));
  EXPECT_THAT(network->plugins, IsEmpty());
}

TEST(NadConfig, ChainsWhatFollowsRailsButForTheRdmaMove) {
  const auto network = networkFrom(
      nad(), R"({"cniVersion":"1.0.0","name":"x","plugins":[{"type":"sriov"},{"type":"rdma"},)"
             R"({"type":"tuning","mtu":1400},{"type":"sbr"}]})");
  ASSERT_TRUE(network.has_value()) << network.error().describe();
  EXPECT_EQ(network->rails->rdma, RdmaUse::kDevice);
  EXPECT_THAT(typesOf(*network), ElementsAre("tuning", "sbr"));
  EXPECT_EQ(network->plugins[0].config,
            R"({"type":"tuning","mtu":1400,"name":"x","cniVersion":"1.0.0"})");
}

TEST(NadConfig, LeavesOtherTypesToTheirPlugins) {
  const auto network =
      networkFrom(nad(), R"({"type":"macvlan","master":"eth0","prevResult":1,"runtimeConfig":2})");
  ASSERT_TRUE(network.has_value()) << network.error().describe();
  EXPECT_FALSE(network->rails.has_value());
  EXPECT_EQ(network->cniVersion, "0.3.1");
  EXPECT_EQ(network->resourceName, "nvidia.com/cx7_qsfp");
  EXPECT_EQ(network->plugins[0].config,
            R"({"type":"macvlan","master":"eth0","name":"fast","cniVersion":"0.3.1"})");
}

struct Bad {
  std::string config;
  const char* says;
};

class BadNad : public testing::TestWithParam<Bad> {};

TEST_P(BadNad, IsToldWhatIsAllowed) {
  const auto network = networkFrom(nad(), GetParam().config);
  ASSERT_FALSE(network.has_value());
  EXPECT_EQ(network.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(network.error().message, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadNad,
    testing::Values(
        Bad{"x", "config is not valid JSON"}, Bad{"[]", "config is '[]': expected a JSON object"},
        Bad{"{}", "type is '': the name of a CNI plugin is needed"},
        Bad{R"({"type":"../bin/sh"})", "type is '../bin/sh'"},
        Bad{R"({"type":".x"})", "not beginning with '.'"},
        Bad{R"({"type":"a/b"})", "type is 'a/b'"},
        Bad{R"({"type":"a","name":"x/y"})", "name is 'x/y': 1 to 128 letters"},
        Bad{R"({"type":"a","cniVersion":"0.0.1"})", "cniVersion is '0.0.1': 0.1.0, 0.2.0, 0.3.0,"},
        Bad{R"({"type":"a","cniVersion":"2.0.0"})", "1.0.0 and 1.1.0 are supported"},
        Bad{R"({"type":"a","cniVersion":1})", "cniVersion is '1': expected a string"},
        Bad{R"({"plugins":[]})", "plugins is '[]': a list of 1 to 16 objects is needed"},
        Bad{R"({"plugins":["a"]})", "plugins[0]: it is '\"a\"': expected an object"},
        Bad{R"({"plugins":[{"type":"a"},{"type":"sriov"}]})",
            "type 'sriov' is not the first of the list"},
        Bad{R"({"plugins":[{"type":"railhead"},{"type":"sriov"}]})", "is not the first"},
        Bad{R"({"type":"sriov","vlan":4095})", "vlan is '4095': 0 to 4094 are allowed"},
        Bad{R"({"type":"sriov","trust":"yes"})", "trust is '\"yes\"': allowed are on, off"},
        Bad{R"({"type":"sriov","link_state":"up"})", "allowed are auto, enable, disable"},
        Bad{R"({"type":"sriov","mac":"01:00:00:00:00:00"})", "an address of one interface"},
        Bad{R"({"type":"railhead","subnets":["10.0.0.0/24"],"ipam":{"type":"static"}})",
            "are both given"},
        Bad{"{\"type\":\"a\",\"x\":\"" + std::string(kMaxNadConfig, 'x') + "\"}",
            "at most 65536 are allowed"}));

// As sriov-cni takes them; railhead's own type is as strict as it always was.
TEST(NadConfig, TakesKeysOfSriovInAnyCase) {
  const auto network = networkFrom(
      nad(), R"({"type":"sriov","Vlan":7,"spoofChk":"off","Trust":"on","vlan":8,"VLAN":9,)"
             R"("IPAM":{"type":"host-local"}})");
  ASSERT_TRUE(network.has_value()) << network.error().describe();
  EXPECT_EQ(network->rails->vf.vlan, 9);
  EXPECT_EQ(network->rails->vf.spoofCheck, false);
  EXPECT_EQ(network->rails->vf.trust, true);
  EXPECT_EQ(network->rails->ipamType, "host-local");
  EXPECT_EQ(networkFrom(nad(), R"({"type":"sriov","Vlan":7})")->rails->vf.vlan, 7);
  EXPECT_THAT(networkFrom(nad(), R"({"type":"sriov","Vlan":4095})").error().message,
              HasSubstr("vlan is '4095': 0 to 4094 are allowed"));
  EXPECT_FALSE(networkFrom(nad(), R"({"type":"railhead","Vlan":7})")->rails->vf.vlan.has_value());
}

TEST(NadConfig, TakesEmptyWordsAsUnset) {
  const auto network =
      networkFrom(nad(), R"({"type":"sriov","spoofchk":"","trust":"","link_state":""})");
  ASSERT_TRUE(network.has_value()) << network.error().describe();
  const netlink::VfChange& vf = network->rails->vf;
  EXPECT_FALSE(vf.spoofCheck || vf.trust || vf.linkState);
}

TEST(NadConfig, RefusesDhcpForRails) {
  const auto network = networkFrom(nad(), R"({"type":"sriov","ipam":{"type":"dhcp"}})");
  ASSERT_FALSE(network.has_value());
  EXPECT_EQ(network.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(network.error().message, HasSubstr("ipam.type is 'dhcp': a rail's addresses are"));
  EXPECT_THAT(network.error().remedy, HasSubstr("static, host-local or whereabouts"));
  EXPECT_TRUE(networkFrom(nad(), R"({"type":"macvlan","ipam":{"type":"dhcp"}})").has_value());
}

// Multus' own examples and many clusters' NADs say 0.3.0; older ones are asked in 0.3.1.
TEST(NadVersions, OldOnesAreSpoken) {
  const std::vector<std::pair<std::string, std::string>> versions{
      {"0.1.0", "0.3.1"}, {"0.2.0", "0.3.1"}, {"0.3.0", "0.3.0"}, {"0.3.1", "0.3.1"},
      {"0.4.0", "0.4.0"}, {"1.0.0", "1.0.0"}, {"1.1.0", "1.1.0"}};
  for (const auto& [said, spoken] : versions) {
    const auto network =
        networkFrom(nad(), R"({"cniVersion":")" + said + R"(","type":"macvlan","name":"x"})");
    ASSERT_TRUE(network.has_value()) << network.error().describe();
    EXPECT_EQ(network->cniVersion, spoken) << said;
    EXPECT_THAT(network->plugins.at(0).config, HasSubstr(R"("cniVersion":")" + spoken + "\""));
  }
}

class SomeNads final : public NadSource {
 public:
  std::vector<Nad> nads;
  bool known = true;
  bool isComplete() override { return known; }
  std::optional<Nad> find(const std::string& space, const std::string& name) override {
    for (const Nad& one : nads) {
      if (space == one.podNamespace && name == one.name) return one;
    }
    return std::nullopt;
  }
  std::vector<std::string> names() override {
    std::vector<std::string> all;
    for (const Nad& one : nads) all.push_back(one.podNamespace + "/" + one.name);
    return all;
  }
};

TEST(LayeredCatalog, TakesTheAgentsConfigurationFirst) {
  const ConfiguredNetworks configured({NetworkDefinition{.name = "fast", .resourceName = "r/all"}});
  SomeNads nads;
  nads.nads = {nad(kReference)};
  testing_support::MemoryFilesystem files;
  LayeredCatalog both(configured, &nads, files, "/etc/cni/net.d", "/etc/cni/multus/net.d");
  EXPECT_EQ(both.find("ml", "fast")->resourceName, "r/all");
  const auto missing = both.find("ml", "slow");
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message,
              HasSubstr("network 'ml/slow' does not exist: there is */fast, ml/fast"));
}

// After a boot, until the API server was heard.
TEST(LayeredCatalog, WhatWasNotListedYetIsAskedForAgain) {
  const ConfiguredNetworks configured({NetworkDefinition{.name = "fast", .resourceName = "r/all"}});
  SomeNads nads;
  nads.nads = {nad(kReference)};
  nads.known = false;
  testing_support::MemoryFilesystem files;
  LayeredCatalog catalog(configured, &nads, files, "/etc/cni/net.d", "/etc/cni/multus/net.d");
  EXPECT_TRUE(catalog.find("ml", "fast").has_value());
  EXPECT_TRUE(catalog.find(nads.nads.front().podNamespace, nads.nads.front().name).has_value());
  const auto missing = catalog.find("ml", "slow");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(cni::codeFor(missing.error().code), cni::kTryAgain);
  EXPECT_THAT(missing.error().message, HasSubstr("have not been listed yet"));
}

TEST(LayeredCatalog, KnowsWhoseNetworksMakeSoftRoceDevices) {
  NetworkDefinition own;
  own.name = "own";
  own.resourceName = "r/configured";
  own.rdma = RdmaUse::kSoft;
  ConfiguredNetworks configured({own});
  SomeNads nads;
  testing_support::MemoryFilesystem files;
  const auto add = [&](const std::string& name, const std::string& rest) {
    nads.nads.push_back(
        {"ml", name, "r/" + name, R"({"cniVersion":"1.0.0","type":"railhead",)" + rest + "}"});
  };
  add("soft", R"("rdma":"soft")");
  add("device", R"("rdma":"device")");
  add("broken", R"("rdma":"hard")");
  LayeredCatalog catalog(configured, &nads, files, "/etc/cni/net.d", "/etc/cni/multus/net.d");
  EXPECT_TRUE(catalog.useSoftRoce("r/configured"));
  EXPECT_TRUE(catalog.useSoftRoce("r/soft"));
  EXPECT_FALSE(catalog.useSoftRoce("r/device"));
  EXPECT_FALSE(catalog.useSoftRoce("r/broken"));
  EXPECT_FALSE(catalog.useSoftRoce("r/other"));
}

TEST(LayeredCatalog, ReadsAFileForAnEmptyConfig) {
  const ConfiguredNetworks configured({});
  SomeNads nads;
  nads.nads = {nad()};
  testing_support::MemoryFilesystem files;
  files.put("/etc/cni/net.d/10-other.conf", R"({"name":"other","type":"bridge"})");
  files.put("/etc/cni/net.d/20-broken.conf", "{");
  LayeredCatalog catalog(configured, &nads, files, "/etc/cni/net.d", "/etc/cni/multus/net.d");
  EXPECT_THAT(catalog.find("ml", "fast").error().message,
              HasSubstr("NetworkAttachmentDefinition ml/fast: spec.config is empty, and no file in "
                        "/etc/cni/multus/net.d or /etc/cni/net.d has the name 'fast'"));
  files.put("/etc/cni/net.d/30-fast.conflist",
            R"({"name":"fast","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]})");
  EXPECT_THAT(typesOf(*catalog.find("ml", "fast")), ElementsAre("bridge"));
  files.put("/etc/cni/multus/net.d/90-fast.conf", R"({"name":"fast","type":"ipvlan"})");
  EXPECT_THAT(typesOf(*catalog.find("ml", "fast")), ElementsAre("ipvlan"));
}

TEST(PluginInputs, GiveEachPluginWhatItDeclares) {
  PluginArguments arguments;
  arguments.ips = {"10.0.0.9/24"};
  arguments.mac = "02:00:00:00:00:01";
  arguments.cniArguments = R"({"a":1})";
  arguments.podAnnotations = R"({"k":"v"})";
  arguments.deviceId = "0000:01:10.0";
  const auto inputs = pluginInputs(
      {{"a", R"({"type":"a","capabilities":{"ips":true,"mac":false,"deviceID":true},)"
             R"("args":{"cni":{"b":2}}})"},
       {"b",
        R"({"type":"b","capabilities":{"mac":true,"io.kubernetes.cri.pod-annotations":true}})"}},
      arguments);
  ASSERT_TRUE(inputs.has_value()) << inputs.error().describe();
  ASSERT_THAT(*inputs, SizeIs(2));
  EXPECT_THAT((*inputs)[0].config,
              HasSubstr(R"("runtimeConfig":{"ips":["10.0.0.9/24"],"deviceID":"0000:01:10.0"})"));
  EXPECT_THAT((*inputs)[0].config, HasSubstr(R"("args":{"cni":{"b":2,"a":1}})"));
  EXPECT_THAT((*inputs)[0].config,
              HasSubstr(R"("deviceID":"0000:01:10.0","pciBusID":"0000:01:10.0")"));
  EXPECT_THAT((*inputs)[1].config, HasSubstr(R"("mac":"02:00:00:00:00:01",)"
                                             R"("io.kubernetes.cri.pod-annotations":{"k":"v"})"));
  EXPECT_EQ((*inputs)[1].config.find("pciBusID"), std::string::npos);
}

TEST(PluginInputs, SayWherePluginsKeepTheirFilesUnlessTheNetworkDoes) {
  PluginArguments arguments;
  arguments.files = "/state";
  const auto inputs = pluginInputs(
      {{"bridge", R"({"type":"bridge","ipam":{"type":"host-local"}})"},
       {"macvlan", R"({"type":"macvlan","ipam":{"type":"host-local","dataDir":"/own"}})"},
       {"ipvlan", R"({"type":"ipvlan","ipam":{"type":"static"}})"},
       {"tuning", R"({"type":"tuning","dataDir":""})"}},
      arguments);
  ASSERT_TRUE(inputs.has_value()) << inputs.error().describe();
  EXPECT_EQ((*inputs)[0].config,
            R"({"type":"bridge","ipam":{"type":"host-local","dataDir":"/state/host-local"}})");
  EXPECT_THAT((*inputs)[1].config, HasSubstr(R"("dataDir":"/own")"));
  EXPECT_EQ((*inputs)[2].config, R"({"type":"ipvlan","ipam":{"type":"static"}})");
  EXPECT_EQ((*inputs)[3].config, R"({"type":"tuning","dataDir":"/state/tuning"})");
}

TEST(PluginInputs, RefuseWhatNobodyWouldHear) {
  PluginArguments arguments;
  arguments.bandwidth = R"({"ingressRate":5})";
  const auto inputs = pluginInputs({{"a", R"({"type":"a"})"}}, arguments);
  ASSERT_FALSE(inputs.has_value());
  EXPECT_EQ(inputs.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(inputs.error().message, HasSubstr(R"(bandwidth is '{"ingressRate":5}': no plugin)"));
  EXPECT_THAT(inputs.error().remedy, HasSubstr(R"("capabilities": {"bandwidth": true})"));
}

TEST(PluginInputs, TellAddressesInTheArgumentsOfAddToo) {
  PluginArguments arguments;
  arguments.mac = "02:00:00:00:00:07";
  EXPECT_EQ(argumentsForAdd({}, arguments), "MAC=02:00:00:00:00:07");
  arguments.ips = {"10.1.0.9/24", "fd00::9/64"};
  const std::vector<PluginConfig> plain{
      {"macvlan", R"({"type":"macvlan","ipam":{"type":"host-local"}})"}};
  const auto deaf = pluginInputs(plain, arguments);
  ASSERT_TRUE(deaf.has_value()) << deaf.error().describe();
  EXPECT_EQ(deaf->front().config.find("runtimeConfig"), std::string::npos);
  EXPECT_EQ(argumentsForAdd(*deaf, arguments), "IP=10.1.0.9/24,fd00::9/64;MAC=02:00:00:00:00:07");
  // host-local has both already, and would take the pair for one bad address.
  const auto heard = pluginInputs({{"macvlan", R"({"type":"macvlan","capabilities":{"ips":true},)"
                                               R"("ipam":{"type":"host-local"}})"}},
                                  arguments);
  ASSERT_TRUE(heard.has_value()) << heard.error().describe();
  EXPECT_EQ(argumentsForAdd(*heard, arguments), "MAC=02:00:00:00:00:07");
}

}  // namespace
}  // namespace railhead::attach

#include "src/attach/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::attach {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

cni::Call addCall(const std::string& input) {
  return {"ADD",
          {{"CNI_CONTAINERID", "abc123"},
           {"CNI_IFNAME", "eth0"},
           {"CNI_NETNS", "/var/run/netns/x"},
           {"CNI_ARGS",
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=ml;K8S_POD_NAME=trainer-0;"
            "K8S_POD_INFRA_CONTAINER_ID=abc123;K8S_POD_UID=u-1"}},
          input};
}

std::string chained(const std::string& version) {
  return R"({"cniVersion":")" + version + R"(","name":"cluster","type":"railhead",)" +
         R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":)" +
         R"({"k8s.v1.cni.cncf.io/networks":"dgx-qsfp"}},)" + R"("prevResult":{"cniVersion":")" +
         version + R"(","dns":{}}})";
}

class EveryVersion : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryVersion, ParsesAChainedAdd) {
  const auto request = parseRequest(addCall(chained(std::string(GetParam()))));
  ASSERT_TRUE(request.has_value()) << request.error().error.message;
  EXPECT_EQ(request->command, CniCommand::kAdd);
  EXPECT_EQ(request->cniVersion, GetParam());
  EXPECT_EQ(request->id.toString(), "abc123/eth0");
  EXPECT_EQ(request->netnsPath, "/var/run/netns/x");
  EXPECT_EQ(request->pod.toString(), "ml/trainer-0");
  EXPECT_EQ(request->pod.uid, "u-1");
  EXPECT_EQ(request->networksAnnotation, "dgx-qsfp");
  EXPECT_EQ(request->prevResult, R"({"cniVersion":")" + std::string(GetParam()) + R"(","dns":{}})");
}

INSTANTIATE_TEST_SUITE_P(Cni, EveryVersion, testing::ValuesIn(cni::kVersions));

TEST(Request, ReadsWhichPrimaryNetworkThePodWants) {
  std::string input = chained("1.1.0");
  const std::string networks = R"("k8s.v1.cni.cncf.io/networks":"dgx-qsfp")";
  input.replace(input.find(networks), networks.size(),
                networks + R"(,"v1.multus-cni.io/default-network":"net/other")");
  EXPECT_EQ(parseRequest(addCall(input))->defaultNetwork, "net/other");
  EXPECT_EQ(parseRequest(addCall(chained("1.1.0")))->defaultNetwork, "");
}

struct BadCall {
  const char* variable;  // replaced; nullptr: none
  std::string value;
  std::string input;
  int code;
  const char* says;
  const char* command = "ADD";
};

class BadRequest : public testing::TestWithParam<BadCall> {};

TEST_P(BadRequest, GivesTheSpecificationsCode) {
  cni::Call call = addCall(GetParam().input.empty() ? chained("1.1.0") : GetParam().input);
  call.command = GetParam().command;
  if (GetParam().variable != nullptr) call.environment[GetParam().variable] = GetParam().value;
  const auto request = parseRequest(call);
  ASSERT_FALSE(request.has_value());
  EXPECT_EQ(request.error().error.code, GetParam().code);
  EXPECT_THAT(request.error().error.message, HasSubstr(GetParam().says));
}

std::string configWith(const std::string& more) {
  return R"({"cniVersion":"1.1.0","name":"x",)" + more + "}";
}

INSTANTIATE_TEST_SUITE_P(
    Cni, BadRequest,
    testing::Values(
        BadCall{nullptr, "", "", 4, "CNI_COMMAND is 'PUT': ADD, DEL, CHECK", "PUT"},
        BadCall{"CNI_CONTAINERID", "", "", 4, "CNI_CONTAINERID is ''"},
        BadCall{"CNI_CONTAINERID", "../x", "", 4, "CNI_CONTAINERID is '../x'"},
        BadCall{"CNI_CONTAINERID", std::string(129, 'a'), "", 4, "1 to 128 letters"},
        BadCall{"CNI_IFNAME", "", "", 4, "CNI_IFNAME is ''"},
        BadCall{"CNI_IFNAME", "a/b", "", 4, "CNI_IFNAME is 'a/b'"},
        BadCall{"CNI_IFNAME", "0123456789abcdef", "", 4, "1 to 15 printable"},
        BadCall{"CNI_NETNS", "", "", 4, "CNI_NETNS is '': an absolute path"},
        BadCall{"CNI_NETNS", "netns/x", "", 4, "CNI_NETNS is 'netns/x'"},
        BadCall{"CNI_ARGS", "K8S_POD_NAME", "", 4, "CNI_ARGS is 'K8S_POD_NAME': KEY=VALUE"},
        BadCall{"CNI_ARGS", "K8S_POD_NAME=a/b", "", 4, "CNI_ARGS K8S_POD_NAME is 'a/b'"},
        BadCall{nullptr, "", "nonsense", 6, "stdin is not valid JSON: 'nonsense'"},
        BadCall{nullptr, "", "[]", 6, "expected a JSON object"},
        BadCall{nullptr, "", R"({"name":"x"})", 1, "cniVersion is ''"},
        BadCall{nullptr, "", R"({"cniVersion":"0.2.0","name":"x"})", 1, "cniVersion is '0.2.0'"},
        BadCall{nullptr, "", R"({"cniVersion":"9.9.9","name":"x"})", 1, "1.1.0 are supported"},
        BadCall{nullptr, "", R"({"cniVersion":7,"name":"x"})", 6, "cniVersion is '7'"},
        BadCall{nullptr, "", R"({"cniVersion":"1.1.0"})", 7, "name is ''"},
        BadCall{nullptr, "", configWith(R"("deviceID":5)"), 7, "deviceID is '5'"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","mtu":"9k")"), 7,
                "mtu is '\"9k\"': 0 to 65520"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","vlan":4095)"), 7,
                "vlan is '4095': 0 to 4094"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","vlan":18446744073709551615)"),
                7, "vlan is "},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","trust":true)"), 7,
                "trust is 'true': allowed are on, off"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","subnets":["10.0.0.0"]})"), 6,
                "not valid JSON"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","subnets":["10.0.0.0"])"), 7,
                "subnets: subnet '10.0.0.0'"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","ipam":{"type":"../sh"})"), 7,
                "ipam.type is '../sh': the name of a CNI plugin is needed"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","ipam":[1])"), 7,
                "ipam is '[1]': an object with a type is needed"},
        BadCall{nullptr, "",
                configWith(R"("deviceID":"0000:01:10.0","subnets":["10.0.0.0/24"],)"
                           R"("ipam":{"type":"host-local"})"),
                7, "subnets and ipam of type 'host-local' are both given"},
        BadCall{nullptr, "", configWith(R"("deviceID":"0000:01:10.0","mac":"x")"), 7, "mac: "},
        BadCall{nullptr, "",
                configWith(R"("deviceID":"0000:01:10.0","runtimeConfig":{"infinibandGUID":"1"})"),
                2, "infiniband-guid is '1': a rail is on Ethernet"},
        BadCall{"CNI_PATH", "opt/cni/bin", "", 4, "CNI_PATH is 'opt/cni/bin': at most 16 absolute"},
        BadCall{nullptr, "",
                configWith(R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":)"
                           R"({"k8s.v1.cni.cncf.io/networks":["a"]}})"),
                7, "k8s.v1.cni.cncf.io/networks is"},
        BadCall{nullptr, "", configWith(R"("x":1)"), 7, "cni.dev/valid-attachments: GC needs",
                "GC"}));

TEST(Request, DelIsLenient) {
  cni::Call call = addCall(configWith(R"("deviceID":"0000:01:10.0","mtu":"9k")"));
  call.command = "DEL";
  call.environment.erase("CNI_NETNS");
  const auto request = parseRequest(call);
  ASSERT_TRUE(request.has_value()) << request.error().error.message;
  EXPECT_EQ(request->netnsPath, "");
}

TEST(Request, ReadsADelegatesOwnNetwork) {
  const auto request = parseRequest(addCall(configWith(
      R"("type":"sriov","deviceID":"0000:01:10.0","mtu":9000,"rdma":true,"vlan":7,"vlanQoS":3,)"
      R"("vlanProto":"802.1ad","spoofchk":"off","trust":"on","link_state":"enable",)"
      R"("min_tx_rate":10,"max_tx_rate":100,"ipam":{},)"
      R"("subnets":["10.0.0.0/24",["10.0.1.0/24","fd00::/64"]])")));
  ASSERT_TRUE(request.has_value()) << request.error().error.message;
  EXPECT_EQ(request->deviceId, "0000:01:10.0");
  const InlineNetwork& network = request->inlineNetwork;
  EXPECT_EQ(network.mtu, 9000);
  EXPECT_EQ(network.rdma, RdmaUse::kDevice);
  EXPECT_EQ(network.vf.vlan, 7);
  EXPECT_EQ(network.vf.vlanQos, 3);
  EXPECT_EQ(network.vf.vlanProtocol, 0x88a8);
  EXPECT_EQ(network.vf.spoofCheck, false);
  EXPECT_EQ(network.vf.trust, true);
  EXPECT_EQ(network.vf.linkState, netlink::VfLinkState::kEnable);
  EXPECT_EQ(network.vf.maxTxRate, 100);
  ASSERT_THAT(network.railSubnets, SizeIs(2));
  EXPECT_THAT(network.railSubnets[1], SizeIs(2));
}

TEST(Request, ReadsWhatMultusAddsForADelegate) {
  auto call = addCall(configWith(
      R"("type":"sriov","deviceID":"0000:01:10.0","mac":"02:00:00:00:00:01","vlanProto":"802.1Q",)"
      R"("logLevel":"debug","logFile":"/x","ipam":{"type":"static"},"prevResult":{"a":1},)"
      R"("runtimeConfig":{"mac":"02:00:00:00:00:02","ips":["10.0.0.9/24"]})"));
  call.environment["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAME=a";
  call.environment["CNI_PATH"] = "/opt/cni/bin:/usr/lib/cni";
  const auto request = parseRequest(call);
  ASSERT_TRUE(request.has_value()) << request.error().error.message;
  EXPECT_EQ(request->cniArgs, "IgnoreUnknown=1;K8S_POD_NAME=a");
  EXPECT_EQ(request->cniPath, "/opt/cni/bin:/usr/lib/cni");
  const InlineNetwork& network = request->inlineNetwork;
  EXPECT_EQ(network.vf.mac->toString(), "02:00:00:00:00:02");
  EXPECT_EQ(network.ips, std::vector<std::string>{"10.0.0.9/24"});
  EXPECT_EQ(network.ipamType, "static");
  EXPECT_EQ(network.ipamConfig.find("prevResult"), std::string::npos);
}

// How Multus passes on what a NAD declares no capability for.
TEST(Request, ReadsADelegatesArguments) {
  auto call =
      addCall(configWith(R"("type":"sriov","deviceID":"0000:01:10.0","mac":"02:00:00:00:00:01")"));
  call.environment["CNI_ARGS"] = "IgnoreUnknown=1;MAC=02:00:00:00:00:02;IP=10.0.0.9/24,fd00::9";
  const auto request = parseRequest(call);
  ASSERT_TRUE(request.has_value()) << request.error().error.message;
  EXPECT_EQ(request->inlineNetwork.vf.mac->toString(), "02:00:00:00:00:02");
  EXPECT_EQ(request->inlineNetwork.ips, (std::vector<std::string>{"10.0.0.9/24", "fd00::9"}));
  call.input = configWith(R"("type":"sriov","deviceID":"0000:01:10.0","runtimeConfig":)"
                          R"({"mac":"02:00:00:00:00:03","ips":["10.0.0.8/24"]})");
  const auto declared = parseRequest(call);
  ASSERT_TRUE(declared.has_value()) << declared.error().error.message;
  EXPECT_EQ(declared->inlineNetwork.vf.mac->toString(), "02:00:00:00:00:03");
  EXPECT_EQ(declared->inlineNetwork.ips, std::vector<std::string>{"10.0.0.8/24"});
  call.environment["CNI_ARGS"] = "MAC=zz";
  const auto refused = parseRequest(call);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().error.message, HasSubstr("CNI_ARGS MAC: "));
}

TEST(Request, ReadsGcUnderBothNames) {
  for (const std::string key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
    const auto request = parseRequest(
        {"GC", {}, configWith("\"" + key + R"(":[{"containerID":"a","ifname":"eth0"}])")});
    ASSERT_TRUE(request.has_value());
    ASSERT_THAT(request->validAttachments, SizeIs(1));
    EXPECT_EQ(request->validAttachments[0].toString(), "a/eth0");
  }
}

}  // namespace
}  // namespace railhead::attach

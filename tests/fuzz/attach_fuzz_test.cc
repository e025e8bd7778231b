// Throws mutated input at every parser of the attach path. Same seed, same inputs: a failure
// repeats. Most useful under the sanitizers.
#include "src/attach/journal.h"
#include "src/attach/nad_config.h"
#include "src/attach/networks.h"
#include "src/attach/plugin_config.h"
#include "src/attach/request.h"
#include "src/attach/result.h"
#include "src/cni/json_input.h"
#include "src/cni/protocol.h"
#include "tests/fuzz/mutate.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::attach {
namespace {

using testing_support::fuzz;

constexpr std::size_t kMaxMessage = 4096;  // an error is for people: it never echoes its input

template <typename T>
void expectShort(const Result<T>& result) {
  if (!result.has_value()) {
    EXPECT_LE(result.error().message.size(), kMaxMessage);
  }
}

const char* const kResult =
    R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)"
    R"("ips":[{"interface":0,"address":"10.1.0.7/16"}],"dns":{}})";

TEST(AttachFuzz, Annotation) {
  fuzz({"ns/name@if0, other",
        R"([{"name":"a","namespace":"b","interface":"c","ips":["10.0.0.1/24"],)"
        R"("mac":"02:00:00:00:00:01","cni-args":{"a":[1]},"default-route":["10.0.0.1","fd00::1"],)"
        R"("bandwidth":{"ingressRate":5},"portMappings":[{"hostPort":80,"protocol":"tcp"}],)"
        R"("infiniband-guid":"02:00:5e:ff:fe:10:00:01","ipam-claim-reference":"x"}])"},
       [](const std::string& text) {
         const auto parsed = parseNetworks(text, "default");
         expectShort(parsed);
         if (!parsed.has_value()) return;
         EXPECT_LE(parsed->size(), kMaxNetworks);
         for (const auto& selection : *parsed) {
           EXPECT_FALSE(selection.name.empty());
           EXPECT_LE(selection.interface.size(), 15U);
         }
       });
}

TEST(AttachFuzz, Nad) {
  const PluginArguments arguments{.ips = {"10.0.0.9/24"},
                                  .mac = "",
                                  .infinibandGuid = "",
                                  .bandwidth = "",
                                  .portMappings = "[]",
                                  .podAnnotations = "{}",
                                  .cniArguments = R"({"a":1})",
                                  .deviceId = "0000:01:10.0"};
  fuzz(
      {R"({"cniVersion":"0.3.1","type":"sriov","name":"x","rdma":true,"vlan":5,"vlanQoS":3,)"
       R"("vlanProto":"802.1ad","mac":"02:00:00:00:00:01","spoofchk":"off","trust":"on",)"
       R"("link_state":"enable","min_tx_rate":1,"max_tx_rate":2,"mtu":9000,"deviceID":"a",)"
       R"("ipam":{"type":"host-local","subnet":"10.0.0.0/24"}})",
       R"({"cniVersion":"1.0.0","name":"x","plugins":[{"type":"macvlan","args":{"cni":{}},)"
       R"("capabilities":{"ips":true,"portMappings":true},"runtimeConfig":{}},{"type":"tuning"}]})"},
      [&](const std::string& text) {
        static_cast<void>(configurationName(text));
        const auto network = networkFrom({"ns", "x", "r/x", ""}, text);
        expectShort(network);
        if (!network.has_value()) return;
        EXPECT_LE(network->plugins.size(), kMaxPlugins);
        const auto inputs = pluginInputs(network->plugins, arguments);
        expectShort(inputs);
        if (!inputs.has_value()) return;
        for (const auto& input : *inputs) {
          EXPECT_TRUE(checkPluginType(input.type, "type").has_value());
          EXPECT_TRUE(cni::parseJsonObject(input.config, "config").has_value());
          expectShort(withPrevious(input.config, kResult));
        }
      });
}

TEST(AttachFuzz, PluginResult) {
  const std::string seed =
      R"({"cniVersion":"1.1.0","interfaces":[{"name":"net1","mac":"x","mtu":9,"sandbox":"/x",)"
      R"("pciID":"a","socketPath":"b"}],"ips":[{"interface":0,"address":"10.1.0.7/16",)"
      R"("gateway":"10.1.0.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1,"table":7}],)"
      R"("dns":{"nameservers":["a"],"domain":"d","search":["s"],"options":["o"]}})";
  fuzz({seed}, [](const std::string& text) {
    const auto parsed = parseResult(text, "result");
    expectShort(parsed);
    for (const char* version : {"0.3.1", "1.0.0", "1.1.0"}) {
      const auto rewritten = resultIn(version, text, "result");
      EXPECT_EQ(rewritten.has_value(), parsed.has_value());
      if (rewritten.has_value()) {
        EXPECT_TRUE(parseResult(*rewritten, "rewritten").has_value()) << *rewritten;
      }
    }
  });
}

TEST(AttachFuzz, Request) {
  const std::string input =
      std::string(R"({"cniVersion":"1.1.0","name":"x","deviceID":"0000:01:10.0","mtu":9000,)") +
      R"("vlan":3,"trust":"on","subnets":["10.0.0.0/24",["fd00::/64"]],)" +
      R"("runtimeConfig":{"io.kubernetes.cri.pod-annotations":)" +
      R"({"k8s.v1.cni.cncf.io/networks":"a"}},"prevResult":)" + kResult +
      R"(,"cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}]})";
  for (const char* command : {"ADD", "DEL", "CHECK", "GC", "STATUS"}) {
    fuzz({input}, [&](const std::string& text) {
      const auto request =
          parseRequest({command,
                        {{"CNI_CONTAINERID", "abc"}, {"CNI_IFNAME", "eth0"}, {"CNI_NETNS", "/ns"}},
                        text});
      if (request.has_value()) return;
      EXPECT_LE(request.error().error.message.size(), kMaxMessage);
      const auto printed = cni::encodeError(request.error().error, request.error().cniVersion);
      EXPECT_TRUE(cni::parseJsonObject(printed, "error").has_value());
    });
  }
}

TEST(AttachFuzz, Arguments) {
  fuzz({"IgnoreUnknown=1;K8S_POD_NAMESPACE=ml;K8S_POD_NAME=trainer-0;K8S_POD_UID=u"},
       [](const std::string& text) {
         const auto request = parseRequest({"DEL",
                                            {{"CNI_CONTAINERID", text},
                                             {"CNI_IFNAME", text},
                                             {"CNI_NETNS", text},
                                             {"CNI_ARGS", text}},
                                            R"({"cniVersion":"1.1.0","name":"x"})"});
         if (!request.has_value()) {
           EXPECT_LE(request.error().error.message.size(), kMaxMessage);
         }
       });
}

TEST(AttachFuzz, PreviousResult) {
  NetworkResult added;
  added.interfaces = {{"net1", "", 9000, "/x", "0000:01:10.0", ""}};
  fuzz({kResult}, [&](const std::string& text) {
    expectShort(interfaceNames(text));
    const auto merged = mergeResults(text, {added}, "1.1.0");
    expectShort(merged);
    if (merged.has_value()) {
      EXPECT_TRUE(cni::parseJsonObject(*merged, "result").has_value());
    }
  });
}

TEST(AttachFuzz, Record) {
  Attachment attachment;
  attachment.id = {"abc", "eth0"};
  attachment.netnsPath = "/ns";
  RailRecord rail;
  rail.hostName = "vf0";
  rail.podName = "net1";
  rail.vfInPod.vlan = 3;
  rail.addresses = {*IpPrefix::parse("10.0.0.1/24")};
  rail.gateways = {*IpAddress::parse("10.0.0.254")};
  rail.routes = {{*IpPrefix::parse("10.2.0.0/16"), {}, 1400, {}, {}, {}, {}}};
  rail.dns.nameservers = {"10.0.0.53"};
  rail.vfInPod.mac = *Mac::parse("02:00:00:00:00:01");
  attachment.rails = {rail, rail};
  ChainRecord chain{"ns/x", "net2", "1.0.0", {{"macvlan", "{}"}}, false, 1, "{}"};
  attachment.ipam = {chain};
  attachment.delegates = {chain, chain};
  attachment.defaultRoutes = {{"net1", *IpAddress::parse("10.0.0.254")}};
  attachment.takenRoutes = {
      {.destination = *IpPrefix::parse("0.0.0.0/0"), .gateway = *IpAddress::parse("10.1.0.1")}};
  attachment.cniArgs = "a=b";
  attachment.cniPath = "/opt/cni/bin";
  const std::string seed = encodeAttachment(attachment);
  ASSERT_TRUE(decodeAttachment(seed).has_value());
  EXPECT_EQ(encodeAttachment(*decodeAttachment(seed)), seed);
  fuzz({seed}, [](const std::string& text) { expectShort(decodeAttachment(text)); });
}

TEST(AttachFuzz, Frames) {
  fuzz({cni::encodeCall({"ADD", {{"CNI_IFNAME", "eth0"}}, "{}"}), cni::encodeReply({1, "{}"})},
       [](const std::string& text) {
         expectShort(cni::decodeCall(text));
         expectShort(cni::decodeReply(text));
       });
}

}  // namespace
}  // namespace railhead::attach

// The agent as deploy/ describes it, made by containerd from the DaemonSet's own template: its
// capabilities, its read-only root, its mounts, the runtime's system call filter. What it must do
// there that it does best elsewhere is to execute other authors' plugins, Debian's here.
#include "lab/demo/node_setup.h"
#include "lab/demo/scenario.h"
#include "src/base/text.h"
#include "tests/integration/containerd_fixture.h"

#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

namespace railhead::lab {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr const char* kFolder = "/tmp/agent-config";  // what the ConfigMap would be
constexpr const char* kOwnFolder = "/tmp/agent-own";  // what the emptyDir would be

Json toJson(const YAML::Node& node) {
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const auto& one : node) list.push_back(toJson(one));
    return list;
  }
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& one : node) object[one.first.as<std::string>()] = toJson(one.second);
    return object;
  }
  const auto text = node.IsNull() ? std::string() : node.as<std::string>();
  if (text == "true" || text == "false") return text == "true";
  return text;
}

// The DaemonSet's pod, with a folder of the node for its ConfigMap.
Json deployedPod() {
  const YAML::Node daemonSet = YAML::LoadFile(RAILHEAD_SOURCE_DIR "/deploy/base/daemonset.yaml");
  Json pod{{"kind", "Pod"}, {"metadata", {{"name", "railhead-agent"}}}};
  pod["spec"] = toJson(daemonSet["spec"]["template"]["spec"]);
  Json& container = pod["spec"]["containers"][0];
  container["command"] = {"/usr/bin/railhead-agent"};  // the image's entrypoint
  container.erase("env");                              // of an API server, which there is none of
  container.erase("resources");
  for (Json& volume : pod["spec"]["volumes"]) {
    if (volume.contains("configMap")) volume["hostPath"] = {{"path", kFolder}};
    if (volume.contains("emptyDir")) volume["hostPath"] = {{"path", kOwnFolder}};
  }
  return pod;
}

std::string nad(const std::string& name, const std::string& config,
                const std::string& resource = "") {
  Json manifest{{"apiVersion", "k8s.cni.cncf.io/v1"},
                {"kind", "NetworkAttachmentDefinition"},
                {"metadata", {{"name", name}, {"namespace", kDemoNamespace}}},
                {"spec", {{"config", config}}}};
  if (!resource.empty())
    manifest["metadata"]["annotations"] = {{"k8s.v1.cni.cncf.io/resourceName", resource}};
  return manifest.dump();
}

// IPv6, because plugins set sysctls for it.
constexpr const char* kBridge =
    R"({"cniVersion":"1.0.0","name":"bridged","type":"bridge","bridge":"nad-bridge",)"
    R"("isGateway":true,"ipam":{"type":"host-local",)"
    R"("ranges":[[{"subnet":"10.250.0.0/24"}],[{"subnet":"fd00:250::/64"}]]}})";
constexpr const char* kMacvlan =
    R"({"cniVersion":"1.0.0","name":"tuned","plugins":[{"type":"macvlan",)"
    R"("master":"enp1s0f0np0","ipam":{"type":"host-local","subnet":"10.251.0.0/24"}},)"
    R"({"type":"tuning","mtu":1400,"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"}}]})";
constexpr const char* kHostDevice =
    R"({"cniVersion":"1.0.0","name":"device","type":"host-device","device":"nad0"})";
constexpr const char* kRails = R"({"cniVersion":"1.1.0","name":"rails","type":"railhead",)"
                               R"("rdma":"soft","ipam":{"type":"host-local",)"
                               R"("subnet":"10.252.0.0/24"}})";

Result<void> writeConfiguration(const NodeShell& node) {
  const std::string folder = kFolder;
  RAILHEAD_TRY(node.writeFile(folder + "/agent.yaml", agentConfig(LabContainerd::topology(), 0) +
                                                          "kubernetes: {nads: files}\n"));
  RAILHEAD_TRY(node.writeFile(folder + "/nads/bridge.json", nad("bridged", kBridge)));
  RAILHEAD_TRY(node.writeFile(folder + "/nads/macvlan.json", nad("tuned", kMacvlan)));
  RAILHEAD_TRY(node.writeFile(folder + "/nads/device.json", nad("device", kHostDevice)));
  return node.writeFile(folder + "/nads/rails.json", nad("rails", kRails, kDemoResource));
}

// The agent of the other cases goes, the deployed one comes.
Result<void> deployAgent(const NodeShell& node) {
  RAILHEAD_TRY(writeConfiguration(node));
  RAILHEAD_TRY(killAgent(node));
  const Json pod = deployedPod();
  std::string folders;
  for (const Json& volume : pod["spec"]["volumes"])
    folders += " " + volume["hostPath"]["path"].get<std::string>();
  // kubelet would make them; what was not there goes again at the end.
  RAILHEAD_TRY(node.run({"sh", "-c",
                         "for d in" + folders + "; do [ -d $d ] || { mkdir -p $d && echo $d; }; " +
                             "done >/tmp/made-folders; ip link add nad0 type dummy"}));
  RAILHEAD_TRY(
      node.run({"railhead-lab-kubelet", "run-pod", "-"}, pod.dump(), std::chrono::seconds(120)));
  RAILHEAD_TRY(node.run({"sh", "-c",
                         "for i in $(seq 1 150); do railhead-agent status >/dev/null 2>&1 && "
                         "exit 0; sleep 0.2; done; railhead-lab-kubelet logs railhead-agent | "
                         "tail -n 3 >&2; exit 1"}));
  return awaitAllocatable(node, 4);
}

Result<void> takeBack(const NodeShell& node) {
  RAILHEAD_TRY(node.run({"railhead-lab-kubelet", "delete-pod", "railhead-agent"}));
  RAILHEAD_TRY(node.run({"sh", "-c",
                         // With its module comes dummy0.
                         "ip link del nad0; ip link del dummy0; ip link del nad-bridge; "
                         "rm -f /run/railhead/nads.json; "
                         "rm -rf /run/railhead/plugins /tmp/agent-config /tmp/agent-own/*; "
                         "xargs -r rmdir </tmp/made-folders; rm /tmp/made-folders"}));
  RAILHEAD_TRY(startAgent(node));
  return awaitAllocatable(node, 4);
}

void expectItsManifestsRights() {
  // CAP_NET_ADMIN and CAP_SYS_ADMIN: bits 12 and 21.
  const std::string status = LabContainerd::ask(
      0, {"sh", "-c", "grep -E '^(CapEff|CapBnd|Seccomp):' /proc/$(pidof railhead-agent)/status"});
  EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000201000"));
  EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000201000"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  const auto write = LabContainerd::inPod(0, "railhead-agent", {"touch", "/root-is-mine"});
  EXPECT_THAT(write, HasSubstr("Read-only file system"));
}

void expectThePodsNetworks() {
  const auto tell = [](std::vector<std::string> command) {
    return LabContainerd::inPod(0, "nets", std::move(command));
  };
  const std::string addresses = tell({"ip", "-br", "addr"});
  for (const char* address : {"10.250.0.2/24", "fd00:250::2/64", "10.251.0.2/24", "10.252.0."})
    EXPECT_THAT(addresses, HasSubstr(address));
  const std::string links = tell({"ip", "-o", "link"});
  EXPECT_THAT(links, testing::ContainsRegex("net2@?[^ ]*: .*mtu 1400"));
  EXPECT_THAT(links, HasSubstr("net3: "));  // host-device
  // The plugins may set sysctls, though the agent sees them read-only.
  EXPECT_EQ(tell({"cat", "/proc/sys/net/ipv4/conf/net2/arp_filter"}), "1\n");
  EXPECT_EQ(tell({"cat", "/proc/sys/net/ipv4/conf/net1/arp_notify"}), "1\n");
  EXPECT_THAT(tell({"ping", "-c", "1", "-W", "5", "10.250.0.1"}), HasSubstr(" 0% packet loss"));
  // A soft-RoCE network that only a NAD knows of gets its device nodes, too.
  EXPECT_THAT(tell({"ls", "/dev/infiniband"}), HasSubstr("uverbs"));
}

TEST_F(LabContainerd, TheAgentAsDeployedExecutesThePluginsOfOthers) {
  const auto deployed = deployAgent(shell(0));
  EXPECT_TRUE(deployed.has_value()) << deployed.error().describe();
  if (deployed.has_value()) {
    expectItsManifestsRights();
    Json pod = Json::parse(podSpecification("nets", true));
    pod["annotations"]["k8s.v1.cni.cncf.io/networks"] = "bridged,tuned,device,rails";
    const auto made = shell(0).run({"railhead-lab-kubelet", "run-pod", "-"}, pod.dump(),
                                   std::chrono::seconds(120));
    EXPECT_TRUE(made.has_value()) << made.error().message;
    const std::string given = "/run/railhead/plugins/host-local/bridged/10.250.0.2";
    if (made.has_value()) {
      expectThePodsNetworks();
      EXPECT_EQ(ask(0, {"test", "-f", given}), "");
      EXPECT_EQ(deletePod(0, "nets"), "");
    }
    EXPECT_EQ(ask(0, {"test", "!", "-e", given}), "");
    EXPECT_THAT(ask(0, {"ip", "-o", "link", "show", "nad0"}), HasSubstr("nad0"));
  }
  if (HasFailure())
    std::printf("%s\n", ask(0, {"railhead-lab-kubelet", "logs", "railhead-agent"}).c_str());
  const auto back = takeBack(shell(0));
  EXPECT_TRUE(back.has_value()) << back.error().describe();
}

}  // namespace
}  // namespace railhead::lab

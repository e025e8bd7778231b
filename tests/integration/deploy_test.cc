// Holds deploy/ to docs/deploy.md: what is mounted writable, which capabilities and rights there
// are, what belongs to others and so is in none of it, and that the files inside are ones the agent
// takes. kubectl renders it, so that it is held as users get it; without one these are skipped.
#include "src/agent/config.h"
#include "src/os/host_paths.h"
#include "src/os/process.h"
#include "tests/support/fake_api_server/fake_api_server.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace railhead {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::string kindOf(const YAML::Node& object) { return object["kind"].as<std::string>(); }
std::string nameOf(const YAML::Node& object) {
  return object["metadata"]["name"].as<std::string>();
}

// kubectl renders what deploy/ is written in since 1.27.
bool kubectlRenders() {
  static const bool renders = [] {
    os::SystemProcessRunner runner;
    const auto said = runner.run({.argv = {"kubectl", "version", "--client", "-o", "json"}});
    if (!said.has_value() || said->exitCode != 0) return false;
    const YAML::Node version = YAML::Load(said->output)["clientVersion"];
    return version && std::stoi(version["minor"].as<std::string>()) >= 27;
  }();
  return renders;
}

constexpr const char* kNoKubectl = "there is no kubectl >= 1.27 on this machine";

std::vector<YAML::Node> rendered(const std::string& folder) {
  os::SystemProcessRunner runner;
  const auto done = runner.run({.argv = {"kubectl", "kustomize", folder}});
  EXPECT_TRUE(done.has_value()) << done.error().message;
  if (!done.has_value()) return {};
  EXPECT_EQ(done->exitCode, 0) << done->errorOutput;
  return YAML::LoadAll(done->output);
}

std::vector<std::string> kinds(const std::vector<YAML::Node>& objects) {
  std::vector<std::string> all;
  for (const YAML::Node& one : objects) all.push_back(kindOf(one));
  return all;
}

// The node's folders that a pod has.
struct Mounts {
  std::set<std::string> writable;
  std::set<std::string> readable;
};

Mounts mountsOf(const YAML::Node& pod) {
  std::map<std::string, std::string> hostPaths;
  for (const auto& volume : pod["volumes"]) {
    if (volume["hostPath"])
      hostPaths[volume["name"].as<std::string>()] = volume["hostPath"]["path"].as<std::string>();
  }
  Mounts found;
  for (const auto& mount : pod["containers"][0]["volumeMounts"]) {
    const auto path = hostPaths.find(mount["name"].as<std::string>());
    if (path == hostPaths.end()) continue;
    // The agent speaks of the host's paths: they must be the same inside.
    EXPECT_EQ(mount["mountPath"].as<std::string>(), path->second);
    const bool readOnly = mount["readOnly"] && mount["readOnly"].as<bool>();
    (readOnly ? found.readable : found.writable).insert(path->second);
  }
  return found;
}

class Deploy : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
    objects_ = rendered(GetParam());
  }

  YAML::Node object(const std::string& kind, const std::string& name) {
    for (const YAML::Node& one : objects_) {
      if (kindOf(one) == kind && nameOf(one) == name) return one;
    }
    ADD_FAILURE() << "no " << kind << " " << name;
    return {};
  }
  YAML::Node pod() { return object("DaemonSet", "railhead-agent")["spec"]["template"]["spec"]; }
  YAML::Node container() { return pod()["containers"][0]; }
  agent::AgentConfig config() {
    const auto text = object("ConfigMap", "railhead-agent")["data"]["agent.yaml"].as<std::string>();
    auto config = agent::parseConfig(text, "agent.yaml");
    EXPECT_TRUE(config.has_value()) << config.error().describe();
    return config.has_value() ? std::move(*config) : agent::AgentConfig();
  }

  std::vector<YAML::Node> objects_;
};

// `kubectl delete -k` takes away what is here: a kind deletes every object of it, Multus' too, and
// GPU pods name the RuntimeClass whoever offers the GPUs.
TEST_P(Deploy, OwnsNothingThatOthersUse) {
  EXPECT_THAT(kinds(objects_), UnorderedElementsAre("Namespace", "ServiceAccount", "ClusterRole",
                                                    "ClusterRoleBinding", "Role", "RoleBinding",
                                                    "ConfigMap", "DaemonSet"));
  for (const YAML::Node& one : objects_) {
    const YAML::Node space = one["metadata"]["namespace"];
    EXPECT_EQ(space ? space.as<std::string>() : "railhead-system", "railhead-system")
        << nameOf(one);
    EXPECT_THAT(nameOf(one), testing::StartsWith("railhead-"));
  }
}

TEST_P(Deploy, MountsNothingElseWritable) {
  const auto [writable, readable] = mountsOf(pod());
  EXPECT_THAT(writable, UnorderedElementsAre("/sys", "/run/railhead", "/run/cdi",
                                             "/run/k8s.cni.cncf.io", "/etc/cni/net.d",
                                             "/opt/cni/bin", "/var/lib/kubelet/device-plugins"));
  EXPECT_THAT(readable, UnorderedElementsAre("/run/netns", "/var/lib/kubelet/pod-resources"));
}

// A cluster that has not been tuned has no such ConfigMap, and its agents start all the same.
TEST_P(Deploy, FollowsTheProfileOfTheClusterWhereThereIsOne) {
  const auto file = std::filesystem::path(config().profile.file);
  EXPECT_EQ(file.filename(), "profile.yaml") << "the key that an exported ConfigMap has";
  std::string volume;
  for (const auto& mount : container()["volumeMounts"]) {
    if (mount["mountPath"].as<std::string>() != file.parent_path().string()) continue;
    volume = mount["name"].as<std::string>();
    EXPECT_TRUE(mount["readOnly"].as<bool>());
    EXPECT_FALSE(mount["subPath"]) << "kubelet does not update it then";
  }
  for (const auto& one : pod()["volumes"]) {
    if (one["name"].as<std::string>() != volume) continue;
    EXPECT_EQ(one["configMap"]["name"].as<std::string>(), "railhead-profile");
    EXPECT_TRUE(one["configMap"]["optional"].as<bool>());
    return;
  }
  ADD_FAILURE() << "nothing is mounted at " << file.parent_path();
}

TEST_P(Deploy, HasNoCapabilityThatItDoesNotNeed) {
  const YAML::Node security = container()["securityContext"];
  EXPECT_FALSE(security["privileged"]);
  EXPECT_TRUE(security["readOnlyRootFilesystem"].as<bool>());
  EXPECT_THAT(security["capabilities"]["drop"].as<std::vector<std::string>>(), ElementsAre("ALL"));
  EXPECT_THAT(security["capabilities"]["add"].as<std::vector<std::string>>(),
              UnorderedElementsAre("NET_ADMIN", "SYS_ADMIN"));
  EXPECT_FALSE(pod()["hostPID"]);
  EXPECT_FALSE(pod()["hostIPC"]);
  EXPECT_TRUE(pod()["hostNetwork"].as<bool>());
  EXPECT_EQ(pod()["containers"].size(), 1U);
  EXPECT_FALSE(pod()["initContainers"]);
}

// "group/resource: verbs" of every rule that the agent's account gets.
TEST_P(Deploy, HasNoRightThatItDoesNotNeed) {
  std::set<std::string> rights;
  for (const YAML::Node& one : objects_) {
    const auto kind = kindOf(one);
    if (kind != "ClusterRole" && kind != "Role") continue;
    for (const auto& rule : one["rules"]) {
      std::string verbs;
      for (const auto& verb : rule["verbs"]) verbs += " " + verb.as<std::string>();
      for (const auto& group : rule["apiGroups"]) {
        for (const auto& resource : rule["resources"]) {
          rights.insert(kind + " " + group.as<std::string>() + "/" + resource.as<std::string>() +
                        ":" + verbs);
        }
      }
    }
  }
  EXPECT_THAT(rights, UnorderedElementsAre(
                          "ClusterRole k8s.cni.cncf.io/network-attachment-definitions: list watch",
                          "ClusterRole /pods: get", "ClusterRole /pods/status: patch",
                          "ClusterRole events.k8s.io/events: create patch",
                          "Role coordination.k8s.io/leases: list create"));
}

TEST_P(Deploy, TheAgentTakesItsConfiguration) {
  const auto taken = config();
  ASSERT_EQ(taken.resources.size(), 1U);
  EXPECT_EQ(taken.resources[0].name, "nvidia.com/cx7_qsfp");
  const bool migrating = std::string(GetParam()).ends_with("migrate");
  EXPECT_EQ(taken.functions.provision, !migrating);
  EXPECT_EQ(taken.functions.rails, !migrating);
  EXPECT_EQ(taken.cni.conflist, !migrating);
  EXPECT_TRUE(taken.cni.shim);
}

TEST_P(Deploy, HandsOverOnAnUpgrade) {
  const YAML::Node strategy =
      object("DaemonSet", "railhead-agent")["spec"]["updateStrategy"]["rollingUpdate"];
  EXPECT_EQ(strategy["maxSurge"].as<int>(), 1);
  EXPECT_EQ(strategy["maxUnavailable"].as<int>(), 0);
  const auto args = container()["args"].as<std::vector<std::string>>();
  EXPECT_THAT(args, Contains("--take-over"));
}

// Another process on the host's network, or the older agent of an upgrade, must not answer for it.
TEST_P(Deploy, ProbesAskThisVeryAgent) {
  const auto args = container()["args"].as<std::vector<std::string>>();
  const auto option = std::find(args.begin(), args.end(), "--probe-socket");
  ASSERT_LT(option + 1, args.end());
  const std::string& socket = *(option + 1);
  for (const char* name : {"startupProbe", "readinessProbe", "livenessProbe"}) {
    const YAML::Node probe = container()[name];
    EXPECT_FALSE(probe["httpGet"]) << name;
    ASSERT_TRUE(probe["exec"]) << name;
    const auto command = probe["exec"]["command"].as<std::vector<std::string>>();
    EXPECT_THAT(command, testing::IsSupersetOf({std::string("probe"), socket})) << name;
    EXPECT_THAT(command, Contains(std::string(name) == "readinessProbe" ? "ready" : "live"));
  }
  std::string volume;
  for (const auto& mount : container()["volumeMounts"]) {
    if (socket.starts_with(mount["mountPath"].as<std::string>() + "/"))
      volume = mount["name"].as<std::string>();
  }
  for (const auto& one : pod()["volumes"]) {
    EXPECT_TRUE(one["emptyDir"] || one["name"].as<std::string>() != volume) << volume;
  }
  EXPECT_NE(volume, "");
}

// It tolerates every taint, also the one that keeps pods of Linux off Windows nodes.
TEST_P(Deploy, RunsOnEveryLinuxNodeAndOnNoOther) {
  EXPECT_EQ(pod()["tolerations"][0]["operator"].as<std::string>(), "Exists");
  EXPECT_EQ(pod()["nodeSelector"]["kubernetes.io/os"].as<std::string>(), "linux");
}

TEST_P(Deploy, EnforcesTheOnlyPodSecurityLevelThatAllowsIt) {
  const YAML::Node labels = object("Namespace", "railhead-system")["metadata"]["labels"];
  EXPECT_EQ(labels["pod-security.kubernetes.io/enforce"].as<std::string>(), "privileged");
}

INSTANTIATE_TEST_SUITE_P(All, Deploy,
                         testing::Values("deploy/base", "deploy/overlays/talos",
                                         "deploy/overlays/migrate"));

TEST(DeployShared, IsWhatAClusterMayHaveAlready) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  EXPECT_THAT(kinds(rendered("deploy/shared/nad-kind")), ElementsAre("CustomResourceDefinition"));
  const auto runtime = rendered("deploy/shared/runtimeclass");
  ASSERT_THAT(kinds(runtime), ElementsAre("RuntimeClass"));
  EXPECT_EQ(nameOf(runtime[0]), "nvidia");
  EXPECT_EQ(runtime[0]["handler"].as<std::string>(), "nvidia");
  const auto network = rendered("deploy/networks/dgx-qsfp");
  ASSERT_THAT(kinds(network), ElementsAre("NetworkAttachmentDefinition"));
  EXPECT_EQ(nameOf(network[0]), "dgx-qsfp");
  const YAML::Node resource =
      network[0]["metadata"]["annotations"]["k8s.v1.cni.cncf.io/resourceName"];
  EXPECT_EQ(resource.as<std::string>(), "nvidia.com/cx7_qsfp");
}

// The agent's pod of base with these components, in this order.
YAML::Node agentWith(const std::vector<std::string>& components) {
  std::string folder = testing::TempDir() + "rh-deploy-XXXXXX";
  EXPECT_NE(mkdtemp(folder.data()), nullptr);
  // kustomize takes no absolute paths.
  const std::string here = std::filesystem::relative("deploy", folder).string() + "/";
  YAML::Node rules;
  rules["resources"].push_back(here + "base");
  for (const auto& component : components)
    rules["components"].push_back(here + "components/" + component);
  std::ofstream(folder + "/kustomization.yaml") << rules;
  YAML::Node found;
  for (const YAML::Node& one : rendered(folder)) {
    if (kindOf(one) == "DaemonSet") found.reset(one["spec"]["template"]["spec"]);
  }
  std::filesystem::remove_all(folder);
  return found;
}

// The components that no overlay here uses: they must fit on base.
TEST(DeployComponents, PatchBase) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  EXPECT_EQ(agentWith({"gpus"})["runtimeClassName"].as<std::string>(), "nvidia");
  const YAML::Node security = agentWith({"selinux"})["containers"][0]["securityContext"];
  EXPECT_EQ(security["seLinuxOptions"]["type"].as<std::string>(), "spc_t");
  EXPECT_FALSE(security["privileged"]);
  const YAML::Node away = agentWith({"uninstall"})["containers"][0];
  EXPECT_THAT(away["args"].as<std::vector<std::string>>(), ElementsAre("uninstall-cni", "--stay"));
  EXPECT_FALSE(away["readinessProbe"]);
}

// What a component adds to the mounts of base; it takes none away.
Mounts addedBy(const std::string& component) {
  const Mounts base = mountsOf(agentWith({}));
  Mounts all = mountsOf(agentWith({component}));
  for (const auto& path : base.writable) EXPECT_EQ(all.writable.erase(path), 1U) << path;
  for (const auto& path : base.readable) EXPECT_EQ(all.readable.erase(path), 1U) << path;
  return all;
}

// Plugins that the agent executes connect to them; nobody writes there.
TEST(DeployComponents, ReachTheDaemonsOfIpamPlugins) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  const Mounts nvidia = addedBy("nv-ipam");
  EXPECT_THAT(nvidia.readable, ElementsAre("/var/lib/cni/nv-ipam"));
  EXPECT_THAT(nvidia.writable, IsEmpty());
  const Mounts spiderpool = addedBy("spiderpool");
  EXPECT_THAT(spiderpool.readable, ElementsAre("/var/run/spidernet"));
  EXPECT_THAT(spiderpool.writable, ElementsAre("/var/log/spidernet"));
}

// In base a kubelet that may not write below /etc/cni, as Talos', could start no agent.
TEST(DeployComponents, SeeTheFilesOfMultus) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  const Mounts mounts = addedBy("multus-files");
  EXPECT_THAT(mounts.readable, ElementsAre(os::HostPaths().multusConfig));
  EXPECT_THAT(mounts.writable, IsEmpty());
}

// What the toolkit specifies there the agent leaves out of its own file.
TEST(DeployComponents, SeeTheCdiFilesOfOthers) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  const Mounts mounts = addedBy("etc-cdi");
  EXPECT_THAT(mounts.readable, ElementsAre(os::HostPaths().cdiStatic));
  EXPECT_THAT(mounts.writable, IsEmpty());
}

// Where conflist and shim are put and what the runtime reads must be one and the same.
void expectCniFolders(const std::string& component, const std::string& conf, const std::string& bin,
                      const std::set<std::string>& readable) {
  const Mounts base = mountsOf(agentWith({}));
  const YAML::Node pod = agentWith({component});
  const Mounts mounts = mountsOf(pod);
  auto expected = base.writable;
  EXPECT_EQ(expected.erase("/etc/cni/net.d"), 1U);
  EXPECT_EQ(expected.erase("/opt/cni/bin"), 1U);
  expected.insert({conf, bin});
  EXPECT_EQ(mounts.writable, expected);
  expected = base.readable;
  expected.insert(readable.begin(), readable.end());
  EXPECT_EQ(mounts.readable, expected);
  const std::vector<std::string> folders{"--cni-conf=" + conf, "--cni-bin=" + bin};
  const auto args = pod["containers"][0]["args"].as<std::vector<std::string>>();
  EXPECT_EQ(args.front(), "run");
  EXPECT_THAT(args, testing::IsSupersetOf(folders));
  // What goes away goes from there.
  const YAML::Node away = agentWith({"uninstall", component})["containers"][0];
  EXPECT_THAT(away["args"].as<std::vector<std::string>>(),
              ElementsAre("uninstall-cni", "--stay", folders[0], folders[1]));
}

TEST(DeployComponents, UseTheCniFoldersOfK3s) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  // The programs there are links into folders of `data`.
  expectCniFolders("k3s", "/var/lib/rancher/k3s/agent/etc/cni/net.d",
                   "/var/lib/rancher/k3s/data/cni", {"/var/lib/rancher/k3s/data"});
}

TEST(DeployComponents, UseTheCniFoldersOfMicrok8s) {
  if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
  expectCniFolders("microk8s", "/var/snap/microk8s/current/args/cni-network",
                   "/var/snap/microk8s/current/opt/cni/bin", {});
}

// Patches of a machine's configuration: nothing of ours reads them, so what they must say is said
// here.
TEST(DeployTalos, MachinePatchesLoadWhatPodsCannot) {
  const YAML::Node rdma = YAML::LoadFile("deploy/overlays/talos/machine/rdma.yaml")["machine"];
  std::set<std::string> modules;
  for (const auto& one : rdma["kernel"]["modules"]) modules.insert(one["name"].as<std::string>());
  EXPECT_THAT(modules, UnorderedElementsAre("mlx5_core", "mlx5_ib", "ib_uverbs", "rdma_ucm"));
  EXPECT_EQ(rdma["sysctls"]["net.ipv4.conf.all.arp_ignore"].as<std::string>(), "1");
  const YAML::Node gpu = YAML::LoadFile("deploy/overlays/talos/machine/gpu.yaml")["machine"];
  EXPECT_EQ(gpu["kernel"]["modules"][0]["name"].as<std::string>(), "nvidia");
  const YAML::Node image = YAML::LoadFile("deploy/overlays/talos/machine/schematic.yaml");
  EXPECT_GE(image["customization"]["systemExtensions"]["officialExtensions"].size(), 1U);
}

// kubectl against an API server that has none of it yet, and neither Multus' kind nor a
// RuntimeClass.
class DryRun : public testing::Test {
 protected:
  void SetUp() override {
    if (!kubectlRenders()) GTEST_SKIP() << kNoKubectl;
    server_ = std::move(*testing_support::FakeApiServer::start());
    const std::string rbac = "/apis/rbac.authorization.k8s.io/v1";
    server_->describeKind("/api/v1", "namespaces", "Namespace", false);
    server_->describeKind("/api/v1", "configmaps", "ConfigMap", true);
    server_->describeKind("/api/v1", "serviceaccounts", "ServiceAccount", true);
    server_->describeKind("/apis/apps/v1", "daemonsets", "DaemonSet", true);
    server_->describeKind(rbac, "roles", "Role", true);
    server_->describeKind(rbac, "rolebindings", "RoleBinding", true);
    server_->describeKind(rbac, "clusterroles", "ClusterRole", false);
    server_->describeKind(rbac, "clusterrolebindings", "ClusterRoleBinding", false);
    server_->describeKind("/apis/node.k8s.io/v1", "runtimeclasses", "RuntimeClass", false);
    server_->describeKind("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions",
                          "CustomResourceDefinition", false);
  }

  // What it printed, both streams.
  std::string apply(const std::string& folder, int exitCode) {
    os::SystemProcessRunner runner;
    const auto done = runner.run(
        {.argv = {"kubectl", "apply", "-k", folder, "--dry-run=client", "--validate=false",
                  "--server", server_->url()},
         .environment = std::map<std::string, std::string>{{"PATH", std::getenv("PATH")},
                                                           {"HOME", testing::TempDir()},
                                                           {"KUBECONFIG", "/nonexistent"}}});
    EXPECT_TRUE(done.has_value()) << done.error().message;
    if (!done.has_value()) return "";
    EXPECT_EQ(done->exitCode, exitCode) << done->errorOutput;
    return done->output + done->errorOutput;
  }

  std::unique_ptr<testing_support::FakeApiServer> server_;
};

TEST_F(DryRun, EveryFolderApplies) {
  for (const char* folder : {"deploy/base", "deploy/overlays/talos", "deploy/overlays/migrate"}) {
    const std::string said = apply(folder, 0);
    EXPECT_THAT(said, HasSubstr("daemonset.apps/railhead-agent created (dry run)")) << folder;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 8) << said;
  }
  EXPECT_THAT(apply("deploy/shared/nad-kind", 0), HasSubstr("created (dry run)"));
  EXPECT_THAT(apply("deploy/shared/runtimeclass", 0),
              HasSubstr("runtimeclass.node.k8s.io/nvidia created (dry run)"));
  EXPECT_EQ(server_->requests("POST", ""), 0);
  EXPECT_EQ(server_->requests("PATCH", ""), 0);
}

TEST_F(DryRun, TheNetworkNeedsItsKind) {
  EXPECT_THAT(apply("deploy/networks/dgx-qsfp", 1), HasSubstr("NetworkAttachmentDefinition"));
  server_->describeKind("/apis/k8s.cni.cncf.io/v1", "network-attachment-definitions",
                        "NetworkAttachmentDefinition", true);
  EXPECT_THAT(apply("deploy/networks/dgx-qsfp", 0), HasSubstr("dgx-qsfp created (dry run)"));
}

}  // namespace
}  // namespace railhead

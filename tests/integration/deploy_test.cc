// Renders deploy/ with kubectl and holds it to docs/deploy.md: what is mounted writable, which
// capabilities and rights there are, and that the files inside are ones the agent takes.
#include "src/agent/config.h"
#include "src/os/process.h"

#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace railhead {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

// By kubectl, which renders by itself since 1.14; before 1.27 it knows another language.
class Deploy : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    os::SystemProcessRunner runner;
    if (!runner.run({.argv = {"kubectl", "version", "--client"}}).has_value())
      GTEST_SKIP() << "there is no kubectl on this machine to render with";
    const auto rendered = runner.run({.argv = {"kubectl", "kustomize", GetParam()}});
    ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
    if (rendered->errorOutput.find("unknown field") != std::string::npos)
      GTEST_SKIP() << "kubectl older than 1.27: " << rendered->errorOutput;
    ASSERT_EQ(rendered->exitCode, 0) << rendered->errorOutput;
    for (const YAML::Node& one : YAML::LoadAll(rendered->output)) objects_.push_back(one);
  }

  YAML::Node object(const std::string& kind, const std::string& name) {
    for (const YAML::Node& one : objects_) {
      if (one["kind"].as<std::string>() == kind &&
          one["metadata"]["name"].as<std::string>() == name)
        return one;
    }
    ADD_FAILURE() << "no " << kind << " " << name;
    return {};
  }
  YAML::Node pod() { return object("DaemonSet", "railhead-agent")["spec"]["template"]["spec"]; }
  YAML::Node container() { return pod()["containers"][0]; }

  std::vector<YAML::Node> objects_;
};

TEST_P(Deploy, MountsNothingElseWritable) {
  std::map<std::string, std::string> hostPaths;
  for (const auto& volume : pod()["volumes"]) {
    if (volume["hostPath"])
      hostPaths[volume["name"].as<std::string>()] = volume["hostPath"]["path"].as<std::string>();
  }
  std::set<std::string> writable;
  std::set<std::string> readable;
  for (const auto& mount : container()["volumeMounts"]) {
    const auto path = hostPaths.find(mount["name"].as<std::string>());
    if (path == hostPaths.end()) continue;
    // The agent speaks of the host's paths: they must be the same inside.
    EXPECT_EQ(mount["mountPath"].as<std::string>(), path->second);
    const bool readOnly = mount["readOnly"] && mount["readOnly"].as<bool>();
    (readOnly ? readable : writable).insert(path->second);
  }
  EXPECT_THAT(writable, UnorderedElementsAre("/sys", "/run/railhead", "/run/cdi",
                                             "/run/k8s.cni.cncf.io", "/etc/cni/net.d",
                                             "/opt/cni/bin", "/var/lib/kubelet/device-plugins"));
  EXPECT_THAT(readable, UnorderedElementsAre("/run/netns", "/var/lib/kubelet/pod-resources"));
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
    const auto kind = one["kind"].as<std::string>();
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
  EXPECT_THAT(rights,
              UnorderedElementsAre(
                  "ClusterRole k8s.cni.cncf.io/network-attachment-definitions: list watch",
                  "ClusterRole /pods: get patch", "ClusterRole events.k8s.io/events: create patch",
                  "Role coordination.k8s.io/leases: list create"));
}

TEST_P(Deploy, TheAgentTakesItsConfiguration) {
  const auto text = object("ConfigMap", "railhead-agent")["data"]["agent.yaml"].as<std::string>();
  const auto config = agent::parseConfig(text, "agent.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_TRUE(config->cni.conflist);
  ASSERT_EQ(config->resources.size(), 1U);
  EXPECT_EQ(config->resources[0].name, "nvidia.com/cx7_qsfp");
  const YAML::Node nad = object("NetworkAttachmentDefinition", "dgx-qsfp");
  EXPECT_EQ(nad["metadata"]["annotations"]["k8s.v1.cni.cncf.io/resourceName"].as<std::string>(),
            config->resources[0].name);
}

TEST_P(Deploy, HandsOverOnAnUpgrade) {
  const YAML::Node strategy =
      object("DaemonSet", "railhead-agent")["spec"]["updateStrategy"]["rollingUpdate"];
  EXPECT_EQ(strategy["maxSurge"].as<int>(), 1);
  EXPECT_EQ(strategy["maxUnavailable"].as<int>(), 0);
  const auto args = container()["args"].as<std::vector<std::string>>();
  EXPECT_THAT(args, testing::Contains("--take-over"));
}

TEST_P(Deploy, EnforcesTheOnlyPodSecurityLevelThatAllowsIt) {
  const YAML::Node labels = object("Namespace", "railhead-system")["metadata"]["labels"];
  EXPECT_EQ(labels["pod-security.kubernetes.io/enforce"].as<std::string>(), "privileged");
  EXPECT_EQ(object("RuntimeClass", "nvidia")["handler"].as<std::string>(), "nvidia");
}

INSTANTIATE_TEST_SUITE_P(All, Deploy, testing::Values("deploy/base", "deploy/overlays/talos"));

}  // namespace
}  // namespace railhead

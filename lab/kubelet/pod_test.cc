#include "lab/kubelet/pod.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace railhead::lab {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(PodSpec, ReadsTheShortForm) {
  const auto spec = parsePodSpec(R"({
    "name": "a", "namespace": "ml", "annotations": {"k8s.v1.cni.cncf.io/networks": "dgx-qsfp"},
    "resources": {"nvidia.com/cx7_qsfp": 1, "nvidia.com/gpu": 0},
    "env": {"NCCL_DEBUG": "INFO"}, "command": ["sleep", "1"]})");
  ASSERT_TRUE(spec.has_value()) << spec.error().describe();
  EXPECT_EQ(spec->name.text(), "ml/a");
  EXPECT_THAT(spec->annotations, ElementsAre(Pair("k8s.v1.cni.cncf.io/networks", "dgx-qsfp")));
  EXPECT_THAT(spec->resources, ElementsAre(Pair("nvidia.com/cx7_qsfp", 1)));
  EXPECT_THAT(spec->env, ElementsAre(Pair("NCCL_DEBUG", "INFO")));
  EXPECT_THAT(spec->command, ElementsAre("sleep", "1"));
}

// The manifest of the reference cluster, as kubectl prints it.
TEST(PodSpec, ReadsAKubernetesPod) {
  const auto spec = parsePodSpec(R"({
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "nccl-0", "annotations": {"k8s.v1.cni.cncf.io/networks": "dgx-qsfp"}},
    "spec": {"runtimeClassName": "nvidia", "containers": [{
      "name": "nccl", "image": "x", "command": ["sh", "-c"], "args": ["true"],
      "env": [{"name": "NCCL_SOCKET_IFNAME", "value": "net1"}, {"name": "EMPTY"}],
      "resources": {"limits": {"nvidia.com/gpu": "1", "nvidia.com/cx7_qsfp": 1, "memory": "8Gi"}}}]}})");
  ASSERT_TRUE(spec.has_value()) << spec.error().describe();
  EXPECT_EQ(spec->name.text(), "default/nccl-0");
  EXPECT_THAT(spec->resources,
              ElementsAre(Pair("nvidia.com/cx7_qsfp", 1), Pair("nvidia.com/gpu", 1)));
  EXPECT_THAT(spec->env, ElementsAre(Pair("EMPTY", ""), Pair("NCCL_SOCKET_IFNAME", "net1")));
  EXPECT_THAT(spec->command, ElementsAre("sh", "-c", "true"));
}

TEST(PodSpec, NamesTheWrongField) {
  const auto errorOf = [](const std::string& text) {
    const auto spec = parsePodSpec(text);
    return spec.has_value() ? std::string() : spec.error().message;
  };
  EXPECT_THAT(errorOf("["), HasSubstr("one JSON object"));
  EXPECT_THAT(errorOf("{}"), HasSubstr("name: missing"));
  EXPECT_THAT(errorOf(R"({"name": "a", "resorces": {}})"), HasSubstr("'resorces'"));
  EXPECT_THAT(errorOf(R"({"name": "A"})"), AllOf(HasSubstr("name"), HasSubstr("'A'")));
  EXPECT_THAT(errorOf(R"({"name": "a", "namespace": "../x"})"), HasSubstr("namespace"));
  EXPECT_THAT(errorOf(R"({"name": 3})"), HasSubstr("name"));
  EXPECT_THAT(errorOf(R"({"name": "a", "resources": {"gpu": 1}})"), HasSubstr("'gpu'"));
  EXPECT_THAT(errorOf(R"({"name": "a", "resources": {"a.b/c": -1}})"), HasSubstr("0 to 4096"));
  EXPECT_THAT(errorOf(R"({"name": "a", "resources": {"a.b/c": "x"}})"), HasSubstr("a.b/c"));
  EXPECT_THAT(errorOf(R"({"name": "a", "env": {"X": 1}})"), HasSubstr("env.X"));
  EXPECT_THAT(errorOf(R"({"name": "a", "command": "sh"})"), HasSubstr("command"));
  EXPECT_THAT(errorOf(R"({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []}})"),
              HasSubstr("exactly one container"));
  EXPECT_THAT(errorOf(std::string(2 << 20, ' ')), HasSubstr("at most"));
}

TEST(PodName, ReadsBothForms) {
  EXPECT_EQ(parsePodName("a")->text(), "default/a");
  EXPECT_EQ(parsePodName("ml/a")->text(), "ml/a");
  EXPECT_FALSE(parsePodName("ml/").has_value());
  EXPECT_FALSE(parsePodName("a/b/c").has_value());
}

TEST(Pod, ItsOwnEnvironmentWins) {
  Pod pod;
  pod.spec.name.name = "a";
  pod.spec.env = {{"NCCL_IB_HCA", "mine"}};
  pod.allocation.env = {{"NCCL_IB_HCA", "mlx5_2"}, {"PCIDEVICE_X", "0000:01:00.2"}};
  pod.cniResult = R"({"cniVersion": "1.0.0"})";
  const auto shown = nlohmann::json::parse(podToJson(pod));
  EXPECT_EQ(shown["env"]["NCCL_IB_HCA"], "mine");
  EXPECT_EQ(shown["env"]["PCIDEVICE_X"], "0000:01:00.2");
  EXPECT_EQ(shown["cni"]["cniVersion"], "1.0.0");
}

}  // namespace
}  // namespace railhead::lab

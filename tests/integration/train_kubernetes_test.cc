// `railhead train run --on kubernetes --dry-run`: the objects are golden files, kubectl takes them,
// and all that the reference pod asks for is in them.
#include "tests/integration/train_fixture.h"
#include "tests/support/fake_api_server/fake_api_server.h"

#include <cstdlib>

#include <yaml-cpp/yaml.h>

namespace railhead {
namespace {

using testing::HasSubstr;

constexpr char kCluster[] = R"(image: registry.example/train@sha256:0123
seed: 7
steps: 100
environment: {NCCL_DEBUG: INFO}
deadlines: {stopSeconds: 20, runSeconds: 86400}
kubernetes: {namespace: training, claim: runs, mountPath: /runs}
)";

class TrainObjects : public TrainFixture {
 protected:
  std::string objects(const std::string& more) {
    const auto file = runFileOf("pair", "[python3, train.py, --fast]", more);
    const auto result = train({"run", file, "--on", "kubernetes", "--dry-run"});
    EXPECT_EQ(result.exitCode, 0) << result.errorOutput;
    return result.output;
  }
  static YAML::Node named(const YAML::Node& list, const std::string& name) {
    for (const auto& one : list) {
      if (one["name"].as<std::string>() == name) return one;
    }
    ADD_FAILURE() << "no " << name;
    return {};
  }
};

TEST_F(TrainObjects, AreTheGoldenFiles) {
  const std::pair<const char*, std::string> cases[] = {
      {"train.yaml", kCluster},
      {"train-coscheduling.yaml",
       "image: registry.example/train:1\nkubernetes: {podGroup: coscheduling, scheduler: gangs}\n"},
      {"train-volcano.yaml",
       "image: registry.example/train:1\nkubernetes: {podGroup: volcano, network: none, "
       "runtimeClass: none}\nresources: {nvidia.com/gpu: 8}\n"},
  };
  for (const auto& [name, more] : cases) {
    const std::string path = std::string(RAILHEAD_SOURCE "/tests/fixtures/kubernetes/") + name;
    EXPECT_EQ(objects(more), testing_support::readText(path))
        << "if the change is meant, renew " << path;
  }
}

// facts of the reference cluster: annotation, resources, RuntimeClass, locked memory, shared
// memory.
TEST_F(TrainObjects, HoldAllThatTheReferencePodAsksForAndTheContractSays) {
  const auto documents = YAML::LoadAll(objects(kCluster));
  ASSERT_EQ(documents.size(), 2U);
  const YAML::Node job = documents[1];
  EXPECT_EQ(job["metadata"]["namespace"].as<std::string>(), "training");
  EXPECT_EQ(job["spec"]["activeDeadlineSeconds"].as<int>(), 86400);
  const YAML::Node pod = job["spec"]["template"];
  EXPECT_EQ(pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"].as<std::string>(),
            "dgx-qsfp");
  EXPECT_EQ(pod["spec"]["runtimeClassName"].as<std::string>(), "nvidia");
  EXPECT_EQ(pod["spec"]["terminationGracePeriodSeconds"].as<int>(), 20);
  const YAML::Node container = pod["spec"]["containers"][0];
  for (const char* side : {"requests", "limits"}) {
    EXPECT_EQ(container["resources"][side]["nvidia.com/cx7_qsfp"].as<std::string>(), "1");
    EXPECT_EQ(container["resources"][side]["nvidia.com/gpu"].as<std::string>(), "1");
  }
  EXPECT_EQ(container["securityContext"]["capabilities"]["add"][0].as<std::string>(), "IPC_LOCK");
  EXPECT_EQ(named(container["volumeMounts"], "shm")["mountPath"].as<std::string>(), "/dev/shm");
  EXPECT_EQ(named(pod["spec"]["volumes"], "shm")["emptyDir"]["medium"].as<std::string>(), "Memory");
  const YAML::Node runs = named(container["volumeMounts"], "runs");
  EXPECT_EQ(runs["mountPath"].as<std::string>(), "/runs/pair");
  EXPECT_EQ(runs["subPath"].as<std::string>(), "pair");
  const std::map<std::string, std::string> told = {
      {"WORLD_SIZE", "2"},       {"LOCAL_RANK", "0"},
      {"LOCAL_WORLD_SIZE", "1"}, {"MASTER_ADDR", "pair-0.pair"},
      {"MASTER_PORT", "29500"},  {"RAILHEAD_SEED", "7"},
      {"RAILHEAD_STEPS", "100"}, {"RAILHEAD_RUN_DIR", "/runs/pair"},
      {"RAILHEAD_ATTEMPT", "1"}, {"RAILHEAD_CHECKPOINT_DIR", "/runs/pair/checkpoints"},
      {"NCCL_DEBUG", "INFO"}};
  for (const auto& [name, value] : told)
    EXPECT_EQ(named(container["env"], name)["value"].as<std::string>(), value) << name;
  EXPECT_TRUE(named(container["env"], "RANK")["valueFrom"]["fieldRef"]);
}

TEST_F(TrainObjects, KubectlTakesThem) {
  os::SystemProcessRunner runner;
  const auto version = runner.run({.argv = {"kubectl", "version", "--client"}});
  if (!version.has_value() || version->exitCode != 0)
    GTEST_SKIP() << "there is no kubectl on this machine";
  const auto server = testing_support::FakeApiServer::start().value();
  server->describeKind("/api/v1", "services", "Service", true);
  server->describeKind("/apis/batch/v1", "jobs", "Job", true);
  server->describeKind("/apis/scheduling.x-k8s.io/v1alpha1", "podgroups", "PodGroup", true);
  const auto done = runner.run(
      {.argv = {"kubectl", "apply", "--dry-run=client", "--validate=false", "--server",
                server->url(), "-f", "-"},
       .environment = std::map<std::string, std::string>{{"PATH", std::getenv("PATH")},
                                                         {"HOME", testing::TempDir()},
                                                         {"KUBECONFIG", "/nonexistent"}},
       .input = objects(std::string(kCluster) + "") + objects("image: a/b:1\nkubernetes: "
                                                              "{podGroup: coscheduling}\n")});
  ASSERT_TRUE(done.has_value()) << done.error().describe();
  EXPECT_EQ(done->exitCode, 0) << done->errorOutput;
  EXPECT_THAT(done->output, HasSubstr("job.batch/pair created (dry run)"));
  EXPECT_THAT(done->output, HasSubstr("service/pair created (dry run)"));
  EXPECT_THAT(done->output, HasSubstr("podgroup.scheduling.x-k8s.io/pair created (dry run)"));
}

TEST_F(TrainObjects, WhatPodsCannotBeIsRefused) {
  const auto file = runFileOf("pair", "[python3]", "ranksPerNode: 2\nimage: a/b:1\n");
  const auto several = train({"run", file, "--on", "kubernetes", "--dry-run"});
  EXPECT_EQ(several.exitCode, 2);
  EXPECT_THAT(several.errorOutput, HasSubstr("ranksPerNode is 2"));
  const auto none =
      train({"run", runFileOf("none", "[python3]", ""), "--on", "kubernetes", "--dry-run"});
  EXPECT_EQ(none.exitCode, 2);
  EXPECT_THAT(none.errorOutput, HasSubstr("names no image"));
  const auto here = train({"run", file, "--on", "local", "--dry-run"});
  EXPECT_EQ(here.exitCode, 2);
  EXPECT_THAT(here.errorOutput, HasSubstr("only --on kubernetes"));
  const auto watched = train({"run", file, "--on", "kubernetes"});
  EXPECT_EQ(watched.exitCode, 2);
  EXPECT_THAT(watched.errorOutput, HasSubstr("not built yet"));
}

}  // namespace
}  // namespace railhead

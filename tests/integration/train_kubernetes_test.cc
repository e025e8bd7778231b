// `railhead train run --on kubernetes`: with --dry-run the objects are golden files, kubectl takes
// them, and all that the reference pod asks for is in them; without it the pods are watched.
#include "src/base/text.h"
#include "src/os/bound_process.h"
#include "tests/integration/train_fixture.h"
#include "tests/support/fake_api_server/fake_api_server.h"
#include "tests/support/free_port.h"

#include <csignal>
#include <cstdlib>

#include <fcntl.h>
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
  EXPECT_THAT(none.errorOutput, HasSubstr("image is missing, and pods need one"));
  const auto here = train({"run", file, "--on", "local", "--dry-run"});
  EXPECT_EQ(here.exitCode, 2);
  EXPECT_THAT(here.errorOutput, HasSubstr("only --on kubernetes"));
  const auto watched = train({"run", file, "--on", "kubernetes", "--folder", at("a")});
  EXPECT_EQ(watched.exitCode, 2);
  EXPECT_THAT(watched.errorOutput, HasSubstr("ranksPerNode is 2"));
  EXPECT_FALSE(std::filesystem::exists(at("a")));
}

// Pods that are watched by a kubectl whose cluster is this machine (fake_kubectl.sh).
class WatchedPods : public TrainFixture {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(at("bin"));
    std::filesystem::create_directories(at("cluster"));
    std::filesystem::create_directories(at("claim"));
    std::filesystem::create_symlink(RAILHEAD_SOURCE "/tests/integration/fake_kubectl.sh",
                                    at("bin/kubectl"));
    ASSERT_EQ(run(runFile("calm", {"--steps", "12"}), "calm").exitCode, 0);
  }
  // What a failed test leaves in its cluster.
  void TearDown() override {
    for (const auto& one : leftRunning()) {
      if (const auto pid = parseUnsigned(split(one, ' ').front()))
        ::kill(static_cast<pid_t>(*pid), SIGKILL);
    }
  }

  os::BoundProcessSpec spec(std::vector<std::string> words) const {
    os::BoundProcessSpec out;
    out.argv = {RAILHEAD_PROGRAM, "train"};
    out.argv.insert(out.argv.end(), words.begin(), words.end());
    out.environment = environment();
    return out;
  }
  std::map<std::string, std::string> environment() const {
    return {{"PATH", at("bin") + ":" + std::getenv("PATH")},
            {"FAKE_CLUSTER", at("cluster")},
            {"RAILHEAD_IMAGE", image_},
            {"FAKE_PORT", std::to_string(port_)}};
  }
  os::ProcessResult trainThere(std::vector<std::string> words) const {
    os::ProcessSpec out;
    out.argv = spec(std::move(words)).argv;
    out.environment = environment();
    out.deadline = std::chrono::seconds(90);
    return os::SystemProcessRunner().run(out).value();
  }
  std::string podFile(const std::string& name, const std::vector<std::string>& trainer,
                      const std::string& more = "") const {
    return runFile(name, trainer,
                   "image: registry.example/train:1\non: kubernetes\nkubernetes: {claim: runs, "
                   "mountPath: " +
                       at("claim") + "}\n" + more);
  }
  void expectAsTheCalmOne(const std::string& name) const {
    const auto same = compare("calm", name);
    EXPECT_EQ(same.exitCode, 0) << same.output;
    EXPECT_THAT(same.output, HasSubstr("bitwise equal (12 losses, 0 checkpoints)"));
    EXPECT_THAT(same.output,
                HasSubstr("4 checkpoints were written where they cannot be read from here"));
    EXPECT_FALSE(std::filesystem::exists(at("cluster/job")));
    expectNothingRuns();
  }
  // Other tests of this machine may run at once.
  std::string image_;  // that verify's pods have
  const std::uint16_t port_ = testing_support::freePort();
  static constexpr char kQuickly[] = "retry: {restarts: 3, backoffSeconds: 0}\n";
};

TEST_F(WatchedPods, ADeadRankIsNamedWithItsNodeAndAllStartAgainFromWhatWasTold) {
  const auto done =
      trainThere({"run", podFile("pods", {"--steps", "12", "--fault", "step:8:1:kill"}, kQuickly),
                  "--folder", at("a"), "--json"});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput << done.output;
  const auto kept = manifest("a");
  ASSERT_EQ(kept.attempts.size(), 2U);
  EXPECT_EQ(kept.attempts[0].end, "failed");
  EXPECT_THAT(kept.attempts[0].reason,
              HasSubstr("rank 1 (node node-1) ended with signal 9: stand-in: kill in phase step"));
  EXPECT_EQ(kept.attempts[0].node, "node-1");
  EXPECT_THAT(kept.attempts[0].lastLines, testing::ElementsAre(HasSubstr("stand-in: kill")));
  EXPECT_EQ(kept.attempts[1].fromStep, 6U);
  EXPECT_THAT(kept.place.order, testing::ElementsAre("node-0", "node-1"));
  EXPECT_THAT(done.output, HasSubstr(R"("event":"step")"));
  EXPECT_THAT(done.output, HasSubstr(R"("event":"checkpoint")"));
  expectAsTheCalmOne("a");
}

// Only the ranks can read it.
TEST_F(WatchedPods, ACheckpointThatIsNotWholeInTheClaimIsPassedOverForTheOneBefore) {
  const auto file =
      podFile("pods", {"--steps", "12", "--fault", "step:8:1:kill"}, "retry: {restarts: 0}\n");
  EXPECT_EQ(trainThere({"run", file, "--folder", at("a")}).exitCode, 1);
  std::ofstream(at("claim/a/checkpoints/step-00000006/rank-1.safetensors"), std::ios::app) << "!";
  const auto done = trainThere({"resume", at("a")});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  EXPECT_THAT(done.errorOutput,
              HasSubstr("note: the checkpoint of step 6 is not whole where the ranks are: they go "
                        "on from that of step 3"));
  EXPECT_EQ(manifest("a").attempts[1].fromStep, 3U);
  expectAsTheCalmOne("a");
}

TEST_F(WatchedPods, AHangPastTheStepDeadlineStopsAllAndTheyStartAgain) {
  const auto done =
      trainThere({"run",
                  podFile("pods", {"--steps", "12", "--fault", "step:5:1:hang"},
                          std::string(kQuickly) +
                              "deadlines: {startSeconds: 60, stepSeconds: 8, stopSeconds: 1}\n"),
                  "--folder", at("a")});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  const auto kept = manifest("a");
  ASSERT_EQ(kept.attempts.size(), 2U);
  EXPECT_EQ(kept.attempts[0].end, "hung");
  // The one that hangs, or the one that waits for it.
  EXPECT_THAT(kept.attempts[0].reason,
              testing::ContainsRegex("rank ([01]) \\(node node-[01]\\) was silent for "));
  EXPECT_THAT(kept.attempts[0].reason,
              HasSubstr("past deadlines.stepSeconds; it stands at step 4"));
  EXPECT_THAT(testing_support::readText(folderOf("a").logFile(1)),
              HasSubstr("stand-in: hang in phase step at step 5"));
  EXPECT_EQ(kept.attempts[1].fromStep, 3U);
  expectAsTheCalmOne("a");
}

TEST_F(WatchedPods, AStreamThatIsCutLosesNothing) {
  std::ofstream(at("cluster/cut")) << "";
  const auto done =
      trainThere({"run", podFile("pods", {"--steps", "12", "--step-ms", "100"}, kQuickly),
                  "--folder", at("a")});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  EXPECT_FALSE(std::filesystem::exists(at("cluster/cut")));
  EXPECT_EQ(manifest("a").attempts.size(), 1U);
  EXPECT_EQ(manifest("a").metrics.lostSteps, 0U);
  EXPECT_EQ(steps("a", 1).size(), 12U);
  expectAsTheCalmOne("a");
}

TEST_F(WatchedPods, APodThatNeverStartsSaysWhy) {
  std::ofstream(at("cluster/pending")) << "pods-0-x: Pending 2 Insufficient nvidia.com/gpu.\n";
  const auto done = trainThere(
      {"run",
       podFile("pods", {"--steps", "12"}, "retry: {restarts: 0}\ndeadlines: {startSeconds: 25}\n"),
       "--folder", at("a")});
  EXPECT_EQ(done.exitCode, 1);
  EXPECT_THAT(done.errorOutput, HasSubstr("the pod did not start within 20 s"));
  EXPECT_THAT(manifest("a").attempts[0].lastLines,
              testing::Contains(HasSubstr("Insufficient nvidia.com/gpu")));
  EXPECT_FALSE(std::filesystem::exists(at("cluster/job")));
}

TEST_F(WatchedPods, StopEndsThePodsAndWhatAKilledWatcherLeftIsGoneBeforeTheNextStart) {
  // The first attempt stands once step 4 is told, the second once step 5 is: none ends by itself.
  const auto file =
      podFile("pods", {"--steps", "12", "--fault", "step:5:1:hang", "--fault", "step:6:1:hang:2"},
              kQuickly);
  auto first =
      os::BoundProcess::start(spec({"run", file, "--folder", at("a")}), "/dev/null").value();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(240);
  // What both told: the watcher takes what it has not heard with it.
  const auto awaitSteps = [&](std::size_t count) {
    while (std::min(steps("a").size(), steps("a", 1).size()) < count &&
           std::chrono::steady_clock::now() < limit)
      ::usleep(10000);
  };
  awaitSteps(4);
  first.kill();
  awaitUnlocked("a");
  EXPECT_THAT(leftRunning(), testing::Not(testing::IsEmpty()));  // a cluster goes on by itself
  auto second = os::BoundProcess::start(spec({"resume", at("a")}), "/dev/null").value();
  while (manifest("a").attempts.size() < 2 && std::chrono::steady_clock::now() < limit)
    ::usleep(10000);
  ASSERT_GE(manifest("a").attempts.size(), 2U);
  EXPECT_EQ(manifest("a").attempts[1].fromStep, 3U);
  awaitSteps(5);
  EXPECT_EQ(trainThere({"stop", at("a")}).exitCode, 0);
  EXPECT_EQ(manifest("a").state, "stopped");
  EXPECT_FALSE(std::filesystem::exists(at("cluster/job")));
  expectNothingRuns();
  const auto done = trainThere({"resume", at("a")});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  expectAsTheCalmOne("a");
}

TEST_F(WatchedPods, CtrlCWhileTheClusterDoesNotAnswerSaysWhatIsLeftAndEndsWithinSeconds) {
  auto words = spec({"run", podFile("pods", {"--steps", "100000", "--step-ms", "100"}, kQuickly),
                     "--folder", at("a")});
  const os::UniqueFd said(::open(at("said").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  words.output = said.get();
  auto watcher = os::BoundProcess::start(words, "/dev/null").value();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(80);
  while (steps("a").size() < 4 && std::chrono::steady_clock::now() < limit) ::usleep(10000);
  std::ofstream(at("cluster/away")) << "";
  const auto asked = std::chrono::steady_clock::now();
  watcher.signal(SIGINT);
  while (!watcher.ended() && std::chrono::steady_clock::now() < limit) ::usleep(10000);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(30));
  EXPECT_EQ(watcher.exitCode(), 128 + SIGINT);
  EXPECT_EQ(manifest("a").state, "interrupted");
  EXPECT_THAT(leftRunning(), testing::Not(testing::IsEmpty()));
  const std::string text = testing_support::readText(at("said"));
  EXPECT_THAT(text, HasSubstr("note: Job a and its pods may be left in the cluster: "));
  // The command that it names does it.
  const auto begin = text.find("kubectl --namespace default delete jobs,services -l ");
  ASSERT_NE(begin, std::string::npos) << text;
  std::filesystem::remove(at("cluster/away"));
  os::ProcessSpec byHand;
  byHand.argv = {"sh", "-c", text.substr(begin, text.find(')', begin) - begin)};
  byHand.environment = environment();
  EXPECT_EQ(os::SystemProcessRunner().run(byHand)->exitCode, 0);
  EXPECT_FALSE(std::filesystem::exists(at("cluster/job")));
  expectNothingRuns();
}

TEST_F(WatchedPods, StopWhileTheClusterDoesNotAnswerSaysWhatItWaitsForAndWhatIsLeft) {
  const auto file = podFile("pods", {"--steps", "100000", "--step-ms", "100"}, kQuickly);
  auto watcher =
      os::BoundProcess::start(spec({"run", file, "--folder", at("a")}), "/dev/null").value();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(80);
  while (steps("a").size() < 4 && std::chrono::steady_clock::now() < limit) ::usleep(10000);
  std::ofstream(at("cluster/away")) << "";
  const auto late = trainThere({"stop", at("a"), "--seconds", "3"});
  EXPECT_EQ(late.exitCode, 1);
  EXPECT_THAT(late.errorOutput,
              HasSubstr("waiting for its pods to end and be deleted, by the API server of "
                        "kubernetes, at most 3 s\n"));
  EXPECT_THAT(late.errorOutput, HasSubstr("still runs after 3 s: it waits for its pods to end"));
  EXPECT_THAT(late.errorOutput, HasSubstr("have its watcher give up: kill -INT "));
  watcher.signal(SIGINT);
  while (!watcher.ended() && std::chrono::steady_clock::now() < limit) ::usleep(10000);
  EXPECT_THAT(manifest("a").reason, HasSubstr("Job a and its pods may be left in the cluster"));
}

TEST_F(WatchedPods, VerifyHasPodsOfRailheadsOwnImageAndSaysWhenNoneIsNamed) {
  const std::string asks = "verify: {backend: host, transport: tcp";
  const auto none =
      trainThere({"run", podFile("pods", {"--steps", "12"}, asks + "}\n"), "--folder", at("a")});
  EXPECT_EQ(none.exitCode, 2);
  EXPECT_THAT(none.errorOutput, HasSubstr("name one that holds railhead in RAILHEAD_IMAGE"));
  EXPECT_FALSE(std::filesystem::exists(at("a")));

  std::filesystem::create_symlink(RAILHEAD_PROGRAM, at("bin/railhead"));
  image_ = "registry.example/railhead:1";
  const auto refused = trainThere(
      {"run", podFile("pods", {"--steps", "12"}, asks + ", expect: rdma}\n"), "--folder", at("a")});
  EXPECT_EQ(refused.exitCode, 3);
  EXPECT_THAT(refused.errorOutput, HasSubstr("the verdict is sockets; expected: rdma"));
  EXPECT_FALSE(std::filesystem::exists(at("a")));
  EXPECT_FALSE(std::filesystem::exists(at("cluster/job")));
  const auto done =
      trainThere({"run", podFile("pods", {"--steps", "12"}, asks + "}\n"), "--folder", at("a")});
  ASSERT_EQ(done.exitCode, 0) << done.errorOutput;
  EXPECT_EQ(manifest("a").verdict->verdict, "sockets");
  expectAsTheCalmOne("a");
}

TEST_F(WatchedPods, AnotherRunsJobIsNeitherTakenNorDeleted) {
  std::filesystem::create_directories(at("cluster/job"));
  std::ofstream(at("cluster/job/yaml")) << "    railhead.io/run: \"another\"\n";
  const auto file = podFile("pods", {"--steps", "12"}, kQuickly);
  const auto done = trainThere({"run", file, "--folder", at("a")});
  EXPECT_EQ(done.exitCode, 1);
  EXPECT_THAT(done.errorOutput, HasSubstr("already exists"));
  EXPECT_THAT(done.errorOutput, HasSubstr("they are another run's"));
  const auto again = trainThere({"resume", at("a")});
  EXPECT_EQ(again.exitCode, 1);
  EXPECT_TRUE(std::filesystem::exists(at("cluster/job/yaml")));
  const auto local = trainThere({"resume", at("a"), "--on", "local"});
  EXPECT_EQ(local.exitCode, 2);
  EXPECT_THAT(local.errorOutput, HasSubstr("its checkpoints cannot be reached from there"));
}

}  // namespace
}  // namespace railhead

#include "src/launch/kubernetes/follow.h"
#include "src/launch/kubernetes/job.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace railhead::launch {
namespace {

using testing::HasSubstr;

KubernetesJob reference() {
  KubernetesJob job;
  job.name = "railhead-bench";
  job.image = "registry.example/railhead:0.1.0";
  job.argv = {"railhead", "bench", "collectives", "--max-size", "1073741824"};
  job.environment = {{"NCCL_DEBUG", "INFO"}, {"RAILHEAD_TOKEN", "0123"}};
  return job;
}

TEST(RenderJob, IsTheGoldenFile) {
  const auto yaml = renderJob(reference());
  ASSERT_TRUE(yaml.has_value()) << yaml.error().describe();
  const std::string path = "tests/fixtures/kubernetes/job.yaml";
  std::ifstream file(path);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(*yaml, golden.str()) << "if the change is meant, renew " << path;
}

TEST(RenderJob, HoldsWhatTheReferencePodAsksFor) {
  const std::string yaml = renderJob(reference()).value();
  for (const char* part :
       {"k8s.v1.cni.cncf.io/networks: \"dgx-qsfp\"", "nvidia.com/cx7_qsfp: \"1\"",
        "nvidia.com/gpu: \"1\"", "runtimeClassName: nvidia", "IPC_LOCK", "medium: Memory",
        "completionMode: Indexed", "backoffLimit: 0", "clusterIP: \"None\"",
        "value: \"railhead-bench-0.railhead-bench\"", "name: WORLD_SIZE"}) {
    EXPECT_THAT(yaml, HasSubstr(part));
  }
}

TEST(KubernetesJob, RefusesWhatTheClusterWould) {
  struct Case {
    void (*change)(KubernetesJob&);
    const char* says;
  };
  const Case cases[] = {
      {[](KubernetesJob& job) { job.name = "Upper"; }, "name 'Upper'"},
      {[](KubernetesJob& job) { job.name = std::string(41, 'a'); }, "at most 40"},
      {[](KubernetesJob& job) { job.namespaceName = "a/b"; },
       "--namespace 'a/b': expected at most 63"},
      {[](KubernetesJob& job) { job.image = ""; }, "image ''"},
      {[](KubernetesJob& job) { job.ranks = 0; }, "1 to 4096"},
      {[](KubernetesJob& job) { job.argv = {}; }, "command"},
      {[](KubernetesJob& job) { job.environment["A=B"] = "x"; }, "environment 'A=B'"},
  };
  for (const Case& wrong : cases) {
    KubernetesJob job = reference();
    wrong.change(job);
    const auto yaml = renderJob(job);
    ASSERT_FALSE(yaml.has_value()) << wrong.says;
    EXPECT_EQ(yaml.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(yaml.error().message, HasSubstr(wrong.says));
  }
}

TEST(RenderJob, NeverLetsTextBecomeAnotherType) {
  KubernetesJob job = reference();
  job.environment = {{"A", "true"}, {"B", "1e3"}, {"C", "null"}, {"D", "x: y\n- z"}, {"E", ""}};
  const std::string yaml = renderJob(job).value();
  for (const char* part : {"\"true\"", "\"1e3\"", "\"null\"", R"("x: y\n- z")", "\"\""}) {
    EXPECT_THAT(yaml, HasSubstr(part));
  }
}

// A kubectl of shell: what it was asked is in a file, what it answers depends on its words.
class FollowTest : public testing::Test {
 protected:
  FollowTest() {
    folder_ =
        std::filesystem::temp_directory_path() / ("railhead-kubectl-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    kubectl_.program = (folder_ / "kubectl").string();
    kubectl_.context = "lab";
  }
  ~FollowTest() override { std::filesystem::remove_all(folder_); }
  void answer(const std::string& script) {
    std::ofstream(kubectl_.program)
        << "#!/bin/sh\necho \"$*\" >>" << (folder_ / "asked").string() << "\n"
        << script << "\n";
    std::filesystem::permissions(kubectl_.program, std::filesystem::perms::owner_all);
  }
  std::string at(const char* name) const { return (folder_ / name).string(); }
  std::string asked() const {
    std::ifstream file(folder_ / "asked");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // One rank's pod, its words as lines.
  GangEnd followOne() const {
    KubernetesJob job = reference();
    job.ranks = 1;
    return runGang(followCommands(kubectl_, job, 60, PodLog::kAsLines), {}, "/dev/null").value();
  }
  // The same where these programs, by name, are scripts of ours.
  GangEnd followOneWith(const std::map<std::string, std::string>& programs) const {
    for (const auto& [name, script] : programs) {
      std::ofstream(folder_ / name) << "#!/bin/sh\n" << script << "\n";
      std::filesystem::permissions(folder_ / name, std::filesystem::perms::owner_all);
    }
    const std::string path = std::getenv("PATH");
    ::setenv("PATH", (folder_.string() + ":" + path).c_str(), 1);
    auto end = followOne();
    ::setenv("PATH", path.c_str(), 1);
    return end;
  }

  std::filesystem::path folder_;
  Kubectl kubectl_;
  os::SystemProcessRunner runner_;
};

TEST_F(FollowTest, CreatesAndDeletesInTheContextAndNamespace) {
  answer("cat >" + (folder_ / "input").string() + "; exit 0");
  ASSERT_TRUE(createJob(runner_, kubectl_, reference()).has_value());
  ASSERT_TRUE(deleteJob(runner_, kubectl_, "railhead-bench").has_value());
  EXPECT_THAT(asked(), HasSubstr("--context lab --namespace default create -f -"));
  EXPECT_THAT(asked(), HasSubstr("delete job/railhead-bench service/railhead-bench"));
}

TEST_F(FollowTest, SaysWhatKubectlSaid) {
  answer("echo 'Error from server (AlreadyExists): jobs.batch exists' >&2; exit 1");
  const auto exists = createJob(runner_, kubectl_, reference());
  ASSERT_FALSE(exists.has_value());
  EXPECT_EQ(exists.error().code, ErrorCode::kAlreadyExists);
  answer("echo 'The connection to the server localhost:8080 was refused' >&2; exit 1");
  const auto refused = createJob(runner_, kubectl_, reference());
  EXPECT_EQ(refused.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(refused.error().remedy, HasSubstr("cluster-info"));
  kubectl_.program = "/no/such/kubectl";
  EXPECT_EQ(createJob(runner_, kubectl_, reference()).error().code, ErrorCode::kEnvironment);
}

TEST_F(FollowTest, ARankIsItsPodsLogAndExitCode) {
  // Rank 1 fails when rank 0 has spoken: it would be stopped before.
  answer("case \"$*\" in *started*) echo 'true ' ;; *' logs '*index=0*) echo line; : >" +
         at("spoken") + " ;; *' logs '*) echo line ;; *index=1*exitCode*) while [ ! -e " +
         at("spoken") + " ]; do sleep 0.01; done; echo 3 ;; *exitCode*) echo 0 ;; esac");
  const auto end = runGang(followCommands(kubectl_, reference(), 5), {}, "/dev/null").value();
  EXPECT_EQ(end.failed, 1);
  EXPECT_EQ(end.ranks[1].exitCode, 3);
  EXPECT_EQ(end.ranks[0].output, "line\n");
  EXPECT_THAT(asked(),
              HasSubstr("job-name=railhead-bench,batch.kubernetes.io/job-completion-index=1"));
}

TEST_F(FollowTest, APodThatTheJobHasNotMadeYetIsWaitedFor) {
  answer("case \"$*\" in *' get pod '*) echo x >>" + at("looks") + "; [ $(wc -l <" + at("looks") +
         ") -ge 3 ] || exit 1 ;; *' wait '*) echo 'no matching resources found' >&2; exit 1 ;; "
         "esac\n"
         "case \"$*\" in *started*) echo 'true ' ;; *' logs '*) echo line ;; *exitCode*) echo 3 ;; "
         "esac");
  KubernetesJob job = reference();
  job.ranks = 1;
  const auto end = runGang(followCommands(kubectl_, job, 60), {}, "/dev/null").value();
  EXPECT_EQ(end.ranks[0].exitCode, 3);
  EXPECT_EQ(end.ranks[0].output, "line\n");
}

TEST_F(FollowTest, AContainerThatIsOverBeforeItIsSeenIsNotWaitedFor) {
  answer(
      "case \"$*\" in *' wait '*) sleep 60; exit 1 ;; *started*) echo 'false 3' ;; "
      "*' logs '*) echo line ;; *exitCode*) echo 3 ;; esac");
  KubernetesJob job = reference();
  job.ranks = 1;
  const auto begin = std::chrono::steady_clock::now();
  const auto end = runGang(followCommands(kubectl_, job, 300), {}, "/dev/null").value();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(40));
  EXPECT_EQ(end.ranks[0].exitCode, 3);
  EXPECT_EQ(end.ranks[0].output, "line\n");
}

TEST_F(FollowTest, APodThatNeverStartsIsExitFourWithWhy) {
  answer(
      "case \"$*\" in *started*) echo 'false ' ;; *' get pod'*) "
      "echo 'railhead-bench-0-x: Pending 0/2 nodes are available: 2 Insufficient "
      "nvidia.com/gpu.' ;; esac");
  KubernetesJob job = reference();
  job.ranks = 1;
  const auto end = runGang(followCommands(kubectl_, job, 1), {}, "/dev/null").value();
  EXPECT_EQ(end.ranks[0].exitCode, 4);
  ASSERT_FALSE(end.ranks[0].lastLines.empty());
  EXPECT_THAT(end.ranks[0].lastLines.front(), HasSubstr("Insufficient nvidia.com/gpu"));
}

TEST_F(FollowTest, KubectlsOwnWordsAreNoneOfTheRanks) {
  answer(
      "case \"$*\" in *started*) echo 'true ' ;; *nodeName*) echo spark-b ;; "
      "*' logs '*) echo 'Error from server' >&2; echo line ;; *exitCode*) echo 3 ;; esac");
  const auto end = followOne();
  EXPECT_THAT(end.ranks[0].lastLines, testing::ElementsAre("line"));
}

// The pod's object outlives its node.
TEST_F(FollowTest, APodWhoseEndIsNeverTold) {
  answer(
      "case \"$*\" in *started*) echo 'true ' ;; *nodeName*) ;; *' logs '*) exit 1 ;; "
      "*exitCode*) ;; *'-o name'*) echo pod/x ;; esac");
  const auto end = followOneWith({{"sleep", "# sixty looks, a second apart"}});
  EXPECT_EQ(end.ranks[0].exitCode, 1);
  EXPECT_THAT(end.ranks[0].node, HasSubstr("pod "));
  EXPECT_THAT(end.ranks[0].lastLines, testing::ElementsAre("the pod's end is not known"));
}

TEST_F(FollowTest, AStreamThatIsCutIsFollowedAgainAndTheNodeIsTold) {
  answer(
      "case \"$*\" in *started*) echo 'true ' ;; *nodeName*) echo spark-b ;; "
      "*' logs '*) echo x >>" +
      at("cuts") + "; echo \"line $(wc -l <" + at("cuts") + ")\" ;; *exitCode*) [ $(wc -l <" +
      at("cuts") + ") -lt 2 ] || echo 3 ;; *'-o name'*) echo pod/x ;; esac");
  const auto end = followOne();
  EXPECT_EQ(end.ranks[0].exitCode, 3);
  EXPECT_EQ(end.ranks[0].node, "spark-b");
  EXPECT_THAT(end.ranks[0].lastLines, testing::ElementsAre("line 1", "line 2"));
  EXPECT_EQ(end.reason(), "rank 0 (node spark-b) ended with exit code 3: line 2");
  EXPECT_THAT(asked(), HasSubstr("--since="));
}

// What the container said while its log could not be had is still to come.
class LostLogTest : public FollowTest {
 protected:
  // How far back each look at the log but the first reached, in seconds of a clock that goes on by
  // one with each look at it.
  std::vector<int> sinces() {
    const auto end = followOneWith(
        {{"date", "echo x >>" + at("clock") + "; wc -l <" + at("clock")}, {"sleep", ""}});
    EXPECT_EQ(end.ranks[0].exitCode, 3);
    std::vector<int> back;
    const std::string all = asked();
    const std::string option = "--since=";
    for (auto found = all.find(option); found != std::string::npos;
         found = all.find(option, found + 1)) {
      back.push_back(std::stoi(all.substr(found + option.size())));
    }
    return back;
  }
  // kubectl, whose log ends the n-th look at it; `log` and `name` are what the two do.
  void answerUntil(int looks, const std::string& log, const std::string& name) {
    answer("case \"$*\" in *started*) echo 'true ' ;; *' logs '*) echo x >>" + at("looks") + "; " +
           log + " ;; *exitCode*) [ $(wc -l <" + at("looks") + ") -lt " + std::to_string(looks) +
           " ] || echo 3 ;; *'-o name'*) " + name + " ;; esac");
  }
};

TEST_F(LostLogTest, EachLookThatFailsAtOnceReachesFurtherBack) {
  answerUntil(4, "case $(wc -l <" + at("looks") + ") in 1 | 4) echo line ;; *) exit 1 ;; esac",
              "echo pod/x");
  const auto back = sinces();
  ASSERT_EQ(back.size(), 3U);
  EXPECT_LT(back[0], back[1]);
  EXPECT_LT(back[1], back[2]);
}

TEST_F(LostLogTest, WhatAnEndedContainerSaidMeanwhileIsHad) {
  answerUntil(2, "case $(wc -l <" + at("looks") + ") in 2) exit 1 ;; *) echo line ;; esac",
              "echo pod/x");
  EXPECT_EQ(sinces().size(), 2U);
  EXPECT_THAT(asked(), HasSubstr("logs -l "));
}

TEST_F(LostLogTest, ASlowFailureIsNoStream) {
  // Thirty seconds each, as long as a connection is tried for.
  answerUntil(
      2, "echo line",
      "echo x >>" + at("names") + "; case $(wc -l <" + at("names") +
          ") in 1 | 2 | 3) for i in 1 2 3; do printf 'x\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\n'; "
          "done >>" +
          at("clock") + "; exit 1 ;; *) echo pod/x ;; esac");
  const auto back = sinces();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_GT(back[0], 90);
}

// A log that says nothing for hours: kubectl would not notice that nobody reads it.
TEST_F(FollowTest, AKilledWatcherLeavesNoKubectl) {
  answer("case \"$*\" in *started*) echo 'true ' ;; *' logs '*) echo $$ >" + at("new") + "; mv " +
         at("new") + " " + at("pid") + "; exec sleep 1000 ;; esac");
  KubernetesJob job = reference();
  job.ranks = 1;
  const pid_t watcher = ::fork();
  if (watcher == 0) {
    (void)runGang(followCommands(kubectl_, job, 60, PodLog::kAsLines), {}, "/dev/null");
    ::_exit(0);
  }
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto waitFor = [&](const auto& condition) {
    while (!condition() && std::chrono::steady_clock::now() < limit) ::usleep(10000);
    return condition();
  };
  EXPECT_TRUE(waitFor([&] { return std::filesystem::exists(at("pid")); }));
  ::kill(watcher, SIGKILL);
  ::waitpid(watcher, nullptr, 0);
  pid_t log = 0;
  std::ifstream(at("pid")) >> log;
  ASSERT_GT(log, 0);
  // Nobody may be there to reap it.
  const auto gone = [&] {
    std::ifstream file("/proc/" + std::to_string(log) + "/stat");
    std::string number, name, state;
    return !(file >> number >> name >> state) || state == "Z";
  };
  EXPECT_TRUE(waitFor(gone));
  ::kill(log, SIGKILL);
}

}  // namespace
}  // namespace railhead::launch

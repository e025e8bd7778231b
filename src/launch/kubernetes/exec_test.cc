#include "src/launch/kubernetes/exec.h"

#include "tests/support/manual_clock.h"

#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::launch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A kubectl whose answers are a list; the last one stays.
class ScriptedKubectl final : public os::ProcessRunner {
 public:
  Result<os::ProcessResult> run(const os::ProcessSpec& spec) override {
    asked.push_back(spec.argv);
    if (answers.empty()) return os::ProcessResult{};
    const auto answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return answer;
  }
  std::deque<os::ProcessResult> answers;
  std::vector<std::vector<std::string>> asked;
};

KubernetesJob pool() {
  KubernetesJob job;
  job.name = "railhead-pool";
  job.image = "registry.example/railhead:1";
  job.argv = {"railhead", "tune", "hold"};
  return job;
}

class RunningPods : public testing::Test {
 protected:
  Result<std::vector<std::string>> pods(const PodWait& wait = {}) {
    return runningPods(runner_, clock_, kubectl_, pool(), wait);
  }
  ScriptedKubectl runner_;
  testing_support::ManualClock clock_;
  Kubectl kubectl_{"kubectl", "lab", "tuning"};
};

TEST_F(RunningPods, AreNamedByRankOnceAllRun) {
  runner_.answers = {
      {1, "", "no such host"},
      {0, "", ""},  // not made yet
      {0, "1 railhead-pool-1-abcde 2026-01-01T00:00:00Z\n0 railhead-pool-0-fghij \n", ""},
      {0,
       "1 railhead-pool-1-abcde 2026-01-01T00:00:00Z\n"
       "0 railhead-pool-0-fghij 2026-01-01T00:00:01Z\n",
       ""}};
  EXPECT_THAT(pods().value(), ElementsAre("railhead-pool-0-fghij", "railhead-pool-1-abcde"));
  EXPECT_EQ(runner_.asked.size(), 4U);
  EXPECT_THAT(runner_.asked[0], testing::Contains("job-name=railhead-pool"));
  EXPECT_THAT(runner_.asked[0], testing::Contains("tuning"));
}

TEST_F(RunningPods, ThatDoNotStartSayWhy) {
  runner_.answers = {{0, "0 railhead-pool-0-a \n", ""}};
  PodWait wait;
  wait.most = std::chrono::seconds(3);
  const auto late = pods(wait);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(late.error().message, HasSubstr("did not start within 3 s: 0 railhead-pool-0-a"));
  EXPECT_EQ(runner_.asked.size(), 5U);  // at 0, 1, 2 and 3 s, and why not
}

TEST_F(RunningPods, AreNotWaitedForAfterAStop) {
  PodWait wait;
  wait.stopped = [&] { return runner_.asked.size() == 2; };
  const auto stopped = pods(wait);
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().message, "interrupted");
  EXPECT_EQ(runner_.asked.size(), 2U);
}

TEST(ExecCommands, StartTheProgramInEachPodWithWhatItsGangDiffersIn) {
  RankProgram program;
  program.argv = {"railhead", "tune", "rank", "--setting", "NCCL_NTHREADS=64"};
  program.masterPort = 29472;
  program.token = "0123";
  const auto commands = execCommands({"kubectl", "", "tuning"}, {"pool-0-a", "pool-1-b"}, program);
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_THAT(commands[1].argv,
              ElementsAre("kubectl", "--namespace", "tuning", "exec", "-i", "pool-1-b", "-c",
                          "rank", "--", "railhead", "tune", "rank", "--setting", "NCCL_NTHREADS=64",
                          "--seat", "MASTER_PORT=29472", "--token-from-stdin"));
  EXPECT_EQ(commands[1].input, "0123\n");
  EXPECT_EQ(commands[1].rank, 1);
  EXPECT_EQ(commands[1].node, "pod pool-1-b");
  EXPECT_TRUE(commands[1].watchesInput);
}

TEST(ExecCommands, KubectlsLineIsNotARanksLastWord) {
  GangEnd end;
  end.failed = 0;
  end.ranks = {{0, "pod a", 3, "", {"railhead: no rail", "command terminated with exit code 3"}},
               {1, "pod b", 3, "", {"command terminated with exit code 3"}},
               {2, "pod c", 0, "", {"done"}}};
  const auto without = withoutKubectlsWords(end);
  EXPECT_THAT(without.ranks[0].lastLines, ElementsAre("railhead: no rail"));
  EXPECT_TRUE(without.ranks[1].lastLines.empty());
  EXPECT_THAT(without.ranks[2].lastLines, ElementsAre("done"));
  EXPECT_THAT(without.reason(), HasSubstr("no rail"));
}

}  // namespace
}  // namespace railhead::launch

#include "src/train/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kWhole[] = R"(schemaVersion: 1
name: pair
command: [python3, train.py, --fast]
image: registry.example/train@sha256:0123
on: ssh:spark-a,spark-b
ranks: 4
ranksPerNode: 2
resources: {nvidia.com/gpu: 2}
profile: profile.yaml
data:
  - path: data/tokens.bin
    sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  - path: data/more.bin
seed: 1337
steps: 1000
environment:
  OMP_NUM_THREADS: "4"
checkpoints: {keep: 2}
retry: {restarts: 7, backoffSeconds: 0.5, backoffMaxSeconds: 8, notAfter: [2, 77]}
deadlines: {startSeconds: 600, stepSeconds: 60.5, stopSeconds: 5, runSeconds: 86400}
verify: {expect: rdma, minShare: 0.8, backend: host, transport: verbs}
kubernetes:
  namespace: training
  network: none
  runtimeClass: none
  claim: runs
  mountPath: /data
  scheduler: gangs
  podGroup: coscheduling
)";

TEST(RunFile, EveryFieldIsRead) {
  const auto run = parseRunFile(kWhole, "run.yaml");
  ASSERT_TRUE(run.has_value()) << run.error().describe();
  EXPECT_EQ(run->name, "pair");
  EXPECT_THAT(run->command, ElementsAre("python3", "train.py", "--fast"));
  EXPECT_EQ(run->nodes(), 2);
  EXPECT_EQ(run->resources, (std::map<std::string, std::string>{{"nvidia.com/gpu", "2"}}));
  ASSERT_EQ(run->data.size(), 2U);
  EXPECT_EQ(run->data[0].sha256, std::string(64, 'a'));
  EXPECT_EQ(run->data[0].line, 12);
  EXPECT_EQ(run->data[1].line, 13);
  EXPECT_EQ(run->seed, 1337U);
  EXPECT_EQ(run->steps, 1000U);
  EXPECT_EQ(run->environment.at("OMP_NUM_THREADS"), "4");
  EXPECT_EQ(run->keepCheckpoints, 2U);
  EXPECT_EQ(run->retry.restarts, 7);
  EXPECT_THAT(run->retry.notAfter, ElementsAre(2, 77));
  EXPECT_EQ(run->deadlines.step, 60.5);
  ASSERT_TRUE(run->verify.has_value());
  EXPECT_EQ(run->verify->minShare, 0.8);
  EXPECT_EQ(run->kubernetes.network, "");
  EXPECT_EQ(run->kubernetes.runtimeClass, "");
  EXPECT_EQ(run->kubernetes.podGroup, "coscheduling");
  EXPECT_EQ(run->where("on"), "run.yaml:5: on");
  EXPECT_EQ(run->where("none"), "run.yaml: none");
}

TEST(RunFile, TheShortestOneHasTheDefaults) {
  const auto run =
      parseRunFile("schemaVersion: 1\nname: a\ncommand: [true]\nranks: 2\n", "run.yaml");
  ASSERT_TRUE(run.has_value()) << run.error().describe();
  EXPECT_EQ(run->retry, RetryPolicy());
  EXPECT_EQ(run->deadlines, Deadlines());
  EXPECT_EQ(run->keepCheckpoints, 3U);
  EXPECT_FALSE(run->verify.has_value());
  EXPECT_EQ(run->resources.at("nvidia.com/cx7_qsfp"), "1");
}

TEST(RunFile, EveryMistakeIsNamedWithItsLine) {
  struct Case {
    const char* more;
    const char* says;
  };
  const Case cases[] = {
      {"seed: x\n", "run.yaml:5: seed is 'x'; allowed: a whole number"},
      {"rankz: 3\n", "run.yaml:5: rankz is unknown; allowed: schemaVersion, name,"},
      {"ranksPerNode: 3\n",
       "run.yaml:5: ranksPerNode is '3'; allowed: a number that divides ranks"},
      {"data: [{path: a, sha256: abc}]\n", "data[0].sha256 is 'abc'; allowed: 64 hexadecimal"},
      {"environment: {RANK: \"1\"}\n", "environment.RANK is set by the launcher"},
      {"environment: {RAILHEAD_SEED: \"1\"}\n", "environment.RAILHEAD_SEED is set by the launcher"},
      {"environment: {\"A=B\": \"1\"}\n", "is no name of a variable"},
      {"retry: {restarts: -1}\n", "retry.restarts is '-1'"},
      {"retry: {backoffSeconds: soon}\n", "retry.backoffSeconds is 'soon'"},
      {"retry: {notAfter: [0]}\n", "retry.notAfter[0] is '0'"},
      {"deadlines: {stepSeconds: -1}\n", "deadlines.stepSeconds is '-1'"},
      {"verify: {expect: fast}\n", "verify.expect is 'fast'; allowed: gdr, rdma"},
      {"verify: {minShare: 2}\n", "verify.minShare is '2'; allowed: a number from 0 to 1"},
      {"kubernetes: {mountPath: here}\n", "kubernetes.mountPath is 'here'; allowed: an absolute"},
      {"kubernetes: {podGroup: mine}\n",
       "kubernetes.podGroup is 'mine'; allowed: coscheduling, volcano"},
      {"kubernetes: {mountPath: \"/a:b\"}\n",
       "kubernetes.mountPath is '/a:b'; allowed: an absolute"},
      {"kubernetes: {runtimeClass: Nv_1}\n",
       "kubernetes.runtimeClass is 'Nv_1'; allowed: a Runtime"},
      {"kubernetes: {scheduler: -a}\n", "kubernetes.scheduler is '-a'; allowed: a scheduler"},
      {"image: a b\n", "image is 'a b'; allowed: the name of a container image"},
      {"resources: {-x/y: 1}\n", "resources.-x/y is no name of a resource"},
      {"resources: {nvidia.com/: 1}\n", "resources.nvidia.com/ is no name of a resource"},
      {"kubernetes: {namespace: Upper}\n", "kubernetes.namespace is 'Upper'"},
      {"checkpoints: {keep: all}\n", "checkpoints.keep is 'all'"},
      {"resources: {nvidia.com/gpu: 0}\n", "resources.nvidia.com/gpu is '0'"},
      {"steps: 0\n", "steps is '0'"},
      {"name: b\n", "name is given twice"},
  };
  const std::string head = "schemaVersion: 1\nname: a\ncommand: [true]\nranks: 2\n";
  for (const Case& wrong : cases) {
    const auto run = parseRunFile(head + wrong.more, "run.yaml");
    ASSERT_FALSE(run.has_value()) << wrong.more;
    EXPECT_EQ(run.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(run.error().message, HasSubstr(wrong.says));
    EXPECT_THAT(run.error().message, HasSubstr("run.yaml:5"));
  }
  for (const auto& [text, says] : std::vector<std::pair<std::string, std::string>>{
           {"name: a\ncommand: [true]\nranks: 2\n", "schemaVersion is missing"},
           {"schemaVersion: 2\n", "schemaVersion is '2'"},
           {"schemaVersion: 1\nname: a\nranks: 2\n", "command is missing"},
           {"schemaVersion: 1\nname: A_b\ncommand: [true]\nranks: 2\n", "name is 'A_b'"},
           {"schemaVersion: 1\nname: a\ncommand: [true]\nranks: 5000\n", "ranks is '5000'"},
           {"schemaVersion: 1\nname: a\ncommand: [true]\nranks: 1\nverify: {}\n",
            "of no use with one rank"}}) {
    const auto run = parseRunFile(text, "run.yaml");
    ASSERT_FALSE(run.has_value()) << text;
    EXPECT_THAT(run.error().message, HasSubstr(says));
  }
}

}  // namespace
}  // namespace railhead::train

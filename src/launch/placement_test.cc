#include "src/launch/placement.h"

#include "src/launch/commands.h"
#include "src/os/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::launch {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Placement, IsReadBack) {
  for (const char* text :
       {"local:2", "lab", "ssh:spark-a,root@10.0.0.2", "kubernetes", "kubernetes:admin@cluster"}) {
    const auto placement = Placement::parse(text);
    ASSERT_TRUE(placement.has_value()) << placement.error().describe();
    EXPECT_EQ(placement->toString(), text);
  }
  EXPECT_FALSE(Placement::parse("local").has_value()) << "how many?";
}

TEST(Placement, RefusesWithWhatIsAllowed) {
  struct Case {
    const char* text;
    const char* why;
  };
  for (const Case& wrong : {Case{"local:0", "N from 1 to 64"},
                            {"local:x", "N from 1 to 64"},
                            {"ssh:", "expected hosts"},
                            {"ssh:a,-oProxyCommand=x", "is none that ssh takes"},
                            {"ssh:a b", "is none that ssh takes"},
                            {"lab:1", "none of the places"},
                            {"kubernetes:", "kubectl context"},
                            {"kubernetes:--kubeconfig=x", "kubectl context"},
                            {"", "none of the places"},
                            {"cloud", "none of the places"}}) {
    const auto placement = Placement::parse(wrong.text);
    ASSERT_FALSE(placement.has_value()) << wrong.text;
    EXPECT_EQ(placement.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(placement.error().message, HasSubstr(wrong.why)) << wrong.text;
  }
}

TEST(LocalCommands, CarryTheUsualEnvironment) {
  const auto ranks =
      localCommands(2, {{"railhead", "bench"}, {{"NCCL_DEBUG", "INFO"}}, "", 29500, "t"});
  ASSERT_EQ(ranks.size(), 2U);
  EXPECT_THAT(ranks[1].argv, ElementsAre("railhead", "bench"));
  const std::map<std::string, std::string> expected = {{"RANK", "1"},
                                                       {"WORLD_SIZE", "2"},
                                                       {"LOCAL_RANK", "1"},
                                                       {"LOCAL_WORLD_SIZE", "2"},
                                                       {"MASTER_ADDR", "127.0.0.1"},
                                                       {"MASTER_PORT", "29500"},
                                                       {"NCCL_DEBUG", "INFO"},
                                                       {"RAILHEAD_NODE", "localhost"},
                                                       {"RAILHEAD_TOKEN", "t"}};
  EXPECT_EQ(ranks[1].environment, expected);
}

TEST(SshCommands, QuoteEveryWordAndEndWithTheirInput) {
  const auto ranks =
      sshCommands({"root@spark-a", "spark-b"}, {{"railhead", "it's"}, {}, "", 29500, "t"});
  const auto& argv = ranks[1].argv;
  EXPECT_EQ(ranks[0].node, "spark-a");
  EXPECT_EQ(argv.front(), "ssh");
  EXPECT_TRUE(ranks[1].watchesInput);
  EXPECT_THAT(argv, Contains("spark-b"));
  EXPECT_THAT(argv.back(), HasSubstr("'MASTER_ADDR=spark-a'"));
  EXPECT_THAT(argv.back(), HasSubstr("'RANK=1'"));
  EXPECT_THAT(argv.back(), HasSubstr("'railhead' 'it'\\''s' --until-stdin-ends"));
}

TEST(SshCommands, TellTheTokenByTheInputAlone) {
  const auto ranks =
      sshCommands({"a"}, {{"sh", "-c", "echo \"$RAILHEAD_TOKEN\"; cat"}, {}, "", 29500, "s3cret"});
  ASSERT_EQ(ranks.size(), 1U);
  for (const auto& word : ranks[0].argv) EXPECT_THAT(word, Not(HasSubstr("s3cret")));
  // What sshd does with the last word.
  os::ProcessSpec spec;
  spec.argv = {"sh", "-c", ranks[0].argv.back()};
  spec.input = ranks[0].input + "the rest";
  const auto far = os::SystemProcessRunner().run(spec);
  ASSERT_TRUE(far.has_value()) << far.error().describe();
  EXPECT_EQ(far->output, "s3cret\nthe rest");
}

TEST(SshCommands, SeveralRanksOfAHostKeepTheOrderOfTheHosts) {
  RankProgram program{{"railhead", "train", "rank"}, {}, "", 29500, "t"};
  program.operands = {"--", "python3", "-c", "print('x')"};
  program.ranksPerNode = 2;
  const auto ranks = sshCommands({"a", "b"}, program);
  ASSERT_EQ(ranks.size(), 4U);
  EXPECT_EQ(ranks[1].node, "a");
  EXPECT_EQ(ranks[2].node, "b");
  for (const char* part : {"'RANK=3'", "'LOCAL_RANK=1'", "'LOCAL_WORLD_SIZE=2'", "'WORLD_SIZE=4'",
                           "--until-stdin-ends '--' 'python3' '-c' 'print("}) {
    EXPECT_THAT(ranks[3].argv.back(), HasSubstr(part));
  }
}

TEST(NewToken, IsNeverTheSame) { EXPECT_NE(newToken(), newToken()); }

}  // namespace
}  // namespace railhead::launch

#include "src/tune_run/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RankFacts sparkRank(const std::string& node) {
  RankFacts facts;
  facts.node = node;
  facts.backend = "nccl";
  facts.version = "2.28.9";
  facts.gpu = "NVIDIA GB10";
  facts.hcas = {"rocep1s0f0", "roceP2p1s0f0"};
  facts.nics = {"15b3:1021", "15b3:1021"};
  facts.links = {"200 Gb/s", "200 Gb/s"};
  facts.mtu = 9000;
  facts.rails = 2;
  facts.isIntegratedGpu = true;
  return facts;
}

TEST(Facts, TwoNodesThatAreAlikeAreOneFabric) {
  const auto facts = factsOf({sparkRank("a"), sparkRank("b")}).value();
  EXPECT_THAT(facts.fabric.gpus, ElementsAre("NVIDIA GB10"));
  EXPECT_EQ(facts.fabric.ranks, 2U);
  EXPECT_EQ(facts.fabric.nodes, 2U);
  EXPECT_EQ(facts.fabric.nccl->least.text(), "2.28.9");
  EXPECT_EQ(facts.platform.hcas.size(), 2U);
  const Space space = facts.space();
  EXPECT_NE(space.find("algorithm"), nullptr);
  EXPECT_NE(space.find("NCCL_IB_QPS_PER_CONNECTION"), nullptr);
  EXPECT_EQ(space.find("NCCL_SOCKET_NTHREADS"), nullptr);
  EXPECT_EQ(space.find("NCCL_NET_GDR_LEVEL"), nullptr);
}

TEST(Facts, NodesThatDifferAreNamedWithTheField) {
  auto other = sparkRank("b");
  other.mtu = 1500;
  const auto found = factsOf({sparkRank("a"), other});
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(found.error().message, HasSubstr("mtu is '9000' on a and '1500' on b"));
  EXPECT_FALSE(factsOf({}).has_value());
}

TEST(Facts, WithoutThePluginThereAreNoChoicesBySize) {
  auto rank = sparkRank("a");
  rank.noChoices = "no tuner plugin at /x";
  auto other = sparkRank("b");
  const auto facts = factsOf({rank, other}).value();
  EXPECT_THAT(facts.noChoices, HasSubstr("a: no tuner plugin"));
  const Space space = facts.space();
  EXPECT_TRUE(space.ofLayer(Layer::kPerSize).empty());
  EXPECT_TRUE(space.isLegal(Setting().with("NCCL_NTHREADS", "64")));
}

TEST(Facts, SocketsWithinANodeAreNotSearched) {
  auto rank = sparkRank("a");
  rank.overSockets = true;
  EXPECT_EQ(factsOf({rank, rank}).value().space().find("NCCL_SOCKET_NTHREADS"), nullptr);
  auto other = rank;
  other.node = "b";
  EXPECT_NE(factsOf({rank, other}).value().space().find("NCCL_SOCKET_NTHREADS"), nullptr);
}

TEST(Facts, ComeBackAsTheyWereAndNothingElseDoes) {
  const RankFacts facts = sparkRank("a");
  EXPECT_EQ(decodeFacts(encode(facts)).value(), facts);
  EXPECT_FALSE(decodeFacts("{}").has_value());
  EXPECT_FALSE(decodeFacts("").has_value());
  EXPECT_FALSE(decodeFacts(std::string(5000, '[')).has_value());
}

}  // namespace
}  // namespace railhead::tune

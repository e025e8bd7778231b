#include "src/tune/space.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

using testing::HasSubstr;

std::set<std::string> namesOf(const Space& space) {
  std::set<std::string> names;
  for (const Knob& knob : space.knobs) names.insert(knob.name);
  return names;
}

Platform sparkPair() {
  Platform platform;
  platform.rails = 2;
  platform.hcas = {"rocep1s0f0", "roceP2p1s0f0"};
  platform.isIntegratedGpu = true;
  return platform;
}

TEST(Space, KnobsAreThereOnlyWhereTheyCanMatter) {
  const auto spark = namesOf(ncclSpace(sparkPair()));
  EXPECT_TRUE(spark.contains("NCCL_IB_QPS_PER_CONNECTION"));
  EXPECT_TRUE(spark.contains("NCCL_IB_HCA"));
  for (const char* gdr :
       {"NCCL_NET_GDR_LEVEL", "NCCL_NET_GDR_READ", "NCCL_DMABUF_ENABLE", "NCCL_NET_GDR_C2C"}) {
    EXPECT_FALSE(spark.contains(gdr)) << gdr;
  }
  EXPECT_FALSE(spark.contains("NCCL_SOCKET_NTHREADS"));

  Platform sockets;
  sockets.overSockets = true;
  const auto bySockets = namesOf(ncclSpace(sockets));
  EXPECT_TRUE(bySockets.contains("NCCL_SOCKET_NTHREADS"));
  EXPECT_FALSE(bySockets.contains("NCCL_IB_QPS_PER_CONNECTION"));

  Platform discrete = sparkPair();
  discrete.isIntegratedGpu = false;
  discrete.hasGdr = true;
  EXPECT_TRUE(namesOf(ncclSpace(discrete)).contains("NCCL_NET_GDR_LEVEL"));
  EXPECT_FALSE(namesOf(ncclSpace(discrete)).contains("NCCL_NET_GDR_C2C"));
  discrete.isIntegratedGpu = true;  // it says GDR, and cannot
  EXPECT_FALSE(namesOf(ncclSpace(discrete)).contains("NCCL_NET_GDR_LEVEL"));
}

TEST(Space, ChunkSizeIsNeverSearched) {
  for (int bits = 0; bits < 64; ++bits) {
    Platform platform = sparkPair();
    platform.overSockets = (bits & 1) != 0;
    platform.hasGdr = (bits & 2) != 0;
    platform.hasC2c = (bits & 4) != 0;
    platform.isIntegratedGpu = (bits & 8) != 0;
    platform.hasNvls = (bits & 16) != 0;
    platform.nodes = (bits & 32) != 0 ? 1 : 2;
    const Space space = ncclSpace(platform);
    EXPECT_EQ(space.find("NCCL_CHUNK_SIZE"), nullptr);
    EXPECT_FALSE(space.isLegal(Setting().with("NCCL_CHUNK_SIZE", "1048576")));
  }
}

TEST(Space, OnlyKnobsStandInAnEnvironment) {
  Platform platform = sparkPair();
  platform.hasGdr = true;
  platform.isIntegratedGpu = false;
  for (const Space& space : {ncclSpace(platform), hostSpace(platform)}) {
    for (const Knob& knob : space.knobs) {
      EXPECT_EQ(isEnvironmentKnob(knob.name), knob.layer == Layer::kProcess) << knob.name;
    }
  }
  for (const char* other : {"NCCL_CHUNK_SIZE", "LD_PRELOAD", "NCCL_NET_PLUGIN", "PATH", ""}) {
    EXPECT_FALSE(isEnvironmentKnob(other)) << other;
  }
}

TEST(Space, IllegalCombinationsAreNamed) {
  Platform platform;
  platform.overSockets = true;
  const Space space = ncclSpace(platform);
  Setting setting;
  setting.set("NCCL_SOCKET_NTHREADS", "16");
  setting.set("NCCL_NSOCKS_PERTHREAD", "4");
  EXPECT_TRUE(space.isLegal(setting));
  setting.set("NCCL_NSOCKS_PERTHREAD", "8");
  EXPECT_THAT(space.check(setting).error().message,
              HasSubstr("NCCL_SOCKET_NTHREADS is '16'; allowed: at most 64 times"));

  EXPECT_THAT(space.check(Setting().with("protocol", "ll")).error().message,
              HasSubstr("only with algorithm set"));
  EXPECT_THAT(space.check(Setting().with("protocol", "fast")).error().message,
              HasSubstr("protocol is 'fast'; allowed: default, ll, ll128, simple"));
  Setting ctas;
  ctas.set("NCCL_MIN_CTAS", "8");
  ctas.set("NCCL_MAX_CTAS", "4");
  EXPECT_FALSE(space.isLegal(ctas));
}

TEST(Space, AlgorithmsCarryTheCollectivesThatNcclHasThemFor) {
  Platform platform = sparkPair();
  platform.hasNvls = true;
  const Space space = ncclSpace(platform);
  const auto choice = [](const char* algorithm) {
    return Setting().with("algorithm", algorithm).with("protocol", "simple");
  };
  EXPECT_TRUE(space.carries(choice("tree"), "allreduce"));
  EXPECT_FALSE(space.carries(choice("tree"), "broadcast"));
  EXPECT_TRUE(space.carries(choice("pat"), "allgather"));
  EXPECT_FALSE(space.carries(choice("pat"), "allreduce"));
  EXPECT_TRUE(space.carries(Setting(), "anything"));
  EXPECT_FALSE(space.isLegal(choice("nvls").with("protocol", "ll")));
  for (const char* algorithm : {"nvls", "pat"}) {
    EXPECT_TRUE(space.isLegal(choice(algorithm))) << algorithm;
    EXPECT_THAT(space.check(choice(algorithm).with("channels", "1")).error().message,
                HasSubstr("only with algorithm at tree, ring"));
  }
}

TEST(Space, StepsBringWhatTheyNeedAndTakeBackWhatNeededThem) {
  const Space space = ncclSpace(sparkPair());
  std::set<std::string> texts;
  for (const Setting& step : space.steps({}, *space.find("algorithm"))) {
    EXPECT_TRUE(space.isLegal(step)) << step.text();
    texts.insert(step.text());
  }
  EXPECT_THAT(texts, testing::Contains("algorithm=tree protocol=ll"));
  EXPECT_THAT(texts, testing::Contains("algorithm=pat protocol=simple"));
  EXPECT_THAT(texts, testing::SizeIs(7));  // tree and ring with three, PAT with one

  const auto split = space.steps({}, *space.find("NCCL_IB_SPLIT_DATA_ON_QPS"));
  EXPECT_THAT(split, testing::SizeIs(14));  // two values with each of seven numbers of QPs

  const Setting chosen = *Setting::parse("algorithm=ring channels=4 protocol=ll");
  const auto back = space.steps(chosen, *space.find("algorithm"));
  ASSERT_FALSE(back.empty());
  EXPECT_THAT(back, testing::Contains(*Setting::parse("algorithm=pat protocol=simple")))
      << "without the channels that it does not take";
  EXPECT_TRUE(back.front().isDefault()) << back.front().text();
}

TEST(Space, EveryLegalSettingOfALayer) {
  const Space space = ncclSpace(sparkPair());
  const auto choices = space.all(Layer::kPerSize, 1000);
  ASSERT_TRUE(choices.has_value());
  // The default; tree and ring in three protocols each, with six channels or none; PAT with none.
  EXPECT_EQ(choices->size(), 1 + 6 * 7 + 1U);
  EXPECT_TRUE(choices->front().isDefault());
  EXPECT_EQ(space.all(Layer::kProcess, 1000).error().code, ErrorCode::kExhausted);
}

TEST(Space, TheHostBackendHasOneOfItsOwn) {
  Platform platform = sparkPair();
  const Space space = hostSpace(platform);
  EXPECT_TRUE(
      space.isLegal(*Setting::parse("algorithm=direct rails=2 segment=1048576 transport=verbs")));
  EXPECT_FALSE(space.isLegal(Setting().with("rails", "3")));
  platform.overSockets = true;
  EXPECT_FALSE(hostSpace(platform).isLegal(Setting().with("transport", "verbs")));
}

TEST(Setting, TextIsCanonicalAndReadBack) {
  Setting setting;
  setting.set("b", "2");
  setting.set("a", "=x,y");
  EXPECT_EQ(setting.text(), "a==x,y b=2");
  EXPECT_EQ(*Setting::parse(setting.text()), setting);
  EXPECT_EQ(Setting().text(), "default");
  EXPECT_TRUE(Setting::parse("default")->isDefault());
  for (const char* bad :
       {"", "a", "b=2 a=1", "a=1  b=2", "a=1 a=2", "a=", "=1", "a=default", "a=1\n", "a=\x7f"}) {
    EXPECT_EQ(Setting::parse(bad).error().code, ErrorCode::kCorrupt) << bad;
  }
}

TEST(Setting, KnowsWhatDiffersAndWhatIsPartOfWhat) {
  const Setting both = *Setting::parse("a=1 b=2");
  EXPECT_TRUE(both.contains(Setting().with("a", "1")));
  EXPECT_FALSE(both.contains(Setting().with("a", "2")));
  EXPECT_FALSE(Setting().with("a", "1").contains(both));
  EXPECT_TRUE(both.contains({}));
  EXPECT_EQ(both.with("b", "default").values().size(), 1U);
  EXPECT_EQ(both.merged(Setting().with("b", "3")).text(), "a=1 b=3");
}

}  // namespace
}  // namespace railhead::tune

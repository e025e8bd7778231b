#include "src/tune_run/live_choice.h"

#include "plugins/nccl-tuner/files.h"

#include <gtest/gtest.h>

namespace railhead::tune {
namespace {

// As the plugin reads it, in the same process.
TEST(LiveChoices, ThePluginSeesWhatWasChosen) {
  auto choices = LiveChoices::create().value();
  nccl_tuner::Remark why;
  const auto* table = nccl_tuner::mapLiveFile(choices.path().c_str(), why);
  ASSERT_NE(table, nullptr) << why.text;
  nccl_tuner::LiveChoice seen;
  EXPECT_FALSE(nccl_tuner::readLive(*table, seen));

  ASSERT_TRUE(choices
                  .choose(Setting()
                              .with("algorithm", "nvlstree")
                              .with("protocol", "simple")
                              .with("channels", "16"))
                  .has_value());
  ASSERT_TRUE(nccl_tuner::readLive(*table, seen));
  EXPECT_EQ(seen.algorithm, 5U);
  EXPECT_EQ(seen.protocol, 2U);
  EXPECT_EQ(seen.channels, 16U);

  ASSERT_TRUE(choices.choose({}).has_value());
  ASSERT_TRUE(nccl_tuner::readLive(*table, seen));
  EXPECT_EQ(seen.algorithm, nccl_tuner::kNcclDecides.algorithm);

  EXPECT_FALSE(choices.choose(Setting().with("algorithm", "star").with("protocol", "ll")));
  EXPECT_FALSE(choices.choose(Setting().with("algorithm", "ring")));
}

}  // namespace
}  // namespace railhead::tune

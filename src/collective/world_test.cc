#include "src/collective/world.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using testing::HasSubstr;

EnvironmentLookup from(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(WorldFrom, ReadsWhatTorchrunSets) {
  const auto world = worldFrom(from({{"RANK", "3"},
                                     {"WORLD_SIZE", "4"},
                                     {"LOCAL_RANK", "1"},
                                     {"MASTER_ADDR", "spark-a"},
                                     {"MASTER_PORT", "29500"},
                                     {"RAILHEAD_NODE", "spark-b"},
                                     {"RAILHEAD_TOKEN", "t"}}))
                         .value();
  EXPECT_EQ(world.rank, 3);
  EXPECT_EQ(world.ranks, 4);
  EXPECT_EQ(world.localRank, 1);
  EXPECT_EQ(world.masterAddress, "spark-a");
  EXPECT_EQ(world.masterPort, 29500);
  EXPECT_EQ(world.node, "spark-b");
  EXPECT_EQ(world.token, "t");
}

TEST(WorldFrom, TakesKubernetesIndexAndSlurmsNumbers) {
  const auto indexed =
      from({{"JOB_COMPLETION_INDEX", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "1"}});
  EXPECT_TRUE(isRank(indexed));
  EXPECT_EQ(worldFrom(indexed)->rank, 1);
  const auto slurm = from({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "8"}, {"MASTER_PORT", "1"}});
  EXPECT_TRUE(isRank(slurm));
  EXPECT_EQ(worldFrom(slurm)->ranks, 8);
  EXPECT_FALSE(isRank(from({{"RANK", "0"}})));
  EXPECT_FALSE(isRank(from({})));
}

TEST(WorldFrom, NamesTheVariableItsValueAndWhatIsAllowed) {
  struct Case {
    std::map<std::string, std::string> variables;
    const char* message;
  };
  const Case cases[] = {
      {{{"RANK", "2"}, {"WORLD_SIZE", "2"}}, "RANK='2': expected a number from 0 to 1"},
      {{{"RANK", "x"}, {"WORLD_SIZE", "2"}}, "RANK='x'"},
      {{{"RANK", "0"}}, "WORLD_SIZE is not set"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "0"}}, "WORLD_SIZE='0': expected a number from 1 to 4096"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "70000"}}, "MASTER_PORT='70000'"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "2"}}, "MASTER_PORT is not set"},
      {{{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"RAILHEAD_TOKEN", "a\nb"}}, "RAILHEAD_TOKEN='a"},
  };
  for (const Case& wrong : cases) {
    const auto world = worldFrom(from(wrong.variables));
    ASSERT_FALSE(world.has_value()) << wrong.message;
    EXPECT_EQ(world.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(world.error().message, HasSubstr(wrong.message));
  }
}

}  // namespace
}  // namespace railhead::collective

#include "src/agent/privileges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using os::Capability;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

AgentConfig configOf(const std::string& rest) {
  auto config = parseConfig("version: 1\n" + rest, "test.yaml");
  EXPECT_TRUE(config.has_value()) << config.error().describe();
  return config.value_or(AgentConfig{});
}

std::vector<Capability> neededFor(const std::string& rest) {
  std::vector<Capability> capabilities;
  for (const auto& one : neededPrivileges(configOf(rest))) capabilities.push_back(one.capability);
  return capabilities;
}

TEST(Privileges, FollowWhatTheAgentDoes) {
  const std::string resources = "resources: [{name: nvidia.com/x}]\n";
  EXPECT_THAT(neededFor(resources), ElementsAre(Capability::kNetAdmin, Capability::kSysAdmin));
  EXPECT_THAT(neededFor("functions: {cni: false}\n" + resources),
              ElementsAre(Capability::kNetAdmin));
  EXPECT_THAT(neededFor("functions: {cni: false, provision: false}\n" + resources), IsEmpty());
  EXPECT_THAT(neededFor("functions: {cni: false, provision: false, rails: false}\n"), IsEmpty());
  EXPECT_THAT(neededFor("functions: {cni: false, provision: false}\n"
                        "metrics: {listen: \"127.0.0.1:80\"}\n" +
                        resources),
              ElementsAre(Capability::kNetBindService));
  EXPECT_THAT(neededFor("functions: {cni: false, provision: false}\n"
                        "metrics: {listen: \"127.0.0.1:9477\"}\n" +
                        resources),
              IsEmpty());
}

TEST(Privileges, MigDevicesTakeOneUnlessGpusAreOff) {
  const std::string only = "cni: false, provision: false, rails: false";
  EXPECT_THAT(neededFor("functions: {" + only + "}\ngpus: {mig: single}\n"),
              ElementsAre(Capability::kSysAdmin));
  EXPECT_THAT(neededFor("functions: {" + only + ", gpus: false}\ngpus: {mig: single}\n"),
              IsEmpty());
}

TEST(Privileges, ANewConfigurationCannotNeedWhatWasGivenUp) {
  const auto config = configOf("gpus: {mig: single}\n");
  EXPECT_TRUE(checkPrivileges({}, config).has_value()) << "nothing was given up";
  const Privileges few{true, {{Capability::kNetAdmin, ""}}, {}};
  const auto refused = checkPrivileges(few, config);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("list MIG devices takes CAP_SYS_ADMIN"));
  EXPECT_THAT(refused.error().remedy, HasSubstr("restart"));
}

}  // namespace
}  // namespace railhead::agent

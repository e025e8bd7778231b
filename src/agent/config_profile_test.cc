#include "src/agent/config_profile.h"

#include "src/agent/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Result<AgentConfig> configWith(const std::string& rest) {
  return parseConfig("version: 1\n" + rest, "f");
}

TEST(ConfigProfile, IsOffByItselfAndReadsEverything) {
  const auto plain = configWith("resources: [{name: nvidia.com/cx7_qsfp}]\n");
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  EXPECT_EQ(plain->profile.file, "");
  EXPECT_TRUE(plain->resources.at(0).profile);

  const auto usual = configWith("profile: {file: /etc/railhead-profile/profile.yaml}\n");
  ASSERT_TRUE(usual.has_value()) << usual.error().message;
  EXPECT_EQ(usual->profile,
            (ProfileConfig{"/etc/railhead-profile/profile.yaml", "", "/etc/railhead"}));
  const auto all = configWith(
      "resources: [{name: nvidia.com/plain, profile: false}]\n"
      "profile: {file: /p.yaml, plugin: /opt/tuner.so, mountAt: /opt/railhead}\n");
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_EQ(all->profile, (ProfileConfig{"/p.yaml", "/opt/tuner.so", "/opt/railhead"}));
  EXPECT_FALSE(all->resources.at(0).profile);
}

TEST(ConfigProfile, NamesLineFieldAndWhatIsAllowed) {
  const std::pair<const char*, const char*> cases[] = {
      {"profile: {}\n", "f:2: profile.file"},
      {"profile:\n  file: etc/p.yaml\n", "f:3: profile.file is 'etc/p.yaml'; allowed: an absolute"},
      {"profile:\n  file: /etc/../p.yaml\n", "f:3: profile.file"},
      {"profile:\n  file: /etc/\n", "f:3: profile.file"},
      {"profile:\n  file: /p.yaml\n  mountAt: /\n", "f:4: profile.mountAt is '/'"},
      {"profile:\n  file: /p.yaml\n  plugin: x.so\n", "f:4: profile.plugin is 'x.so'"},
      {"profile:\n  file: /p.yaml\n  nosuch: 1\n", "f:4: profile.nosuch"},
      {"resources:\n  - name: a.b/c\n    profile: maybe\n", "f:4: resources[0].profile"},
  };
  for (const auto& [text, expected] : cases) {
    const auto config = configWith(text);
    ASSERT_FALSE(config.has_value()) << text;
    EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(config.error().message, StartsWith(expected)) << text;
  }
}

TEST(ConfigProfile, MayChangeWhileTheAgentServes) {
  const auto before = configWith("profile: {file: /a.yaml}\n");
  const auto after = configWith("profile: {file: /b.yaml}\n");
  EXPECT_TRUE(checkReloadable(*before, *after).has_value());
}

}  // namespace
}  // namespace railhead::agent

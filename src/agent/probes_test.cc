#include "src/agent/probes.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

TEST(Probes, AreAnsweredByTheOneTheyAsk) {
  std::string folder = testing::TempDir() + "rh-probes-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/probe.sock";
  EXPECT_EQ(askProbes(path).error().code, ErrorCode::kEnvironment);
  {
    const auto server = serveProbes(path, [] {
      return ProbeState{"", "nvidia.com/gpu: \"waiting\""};
    });
    ASSERT_TRUE(server.has_value()) << server.error().message;
    const auto state = askProbes(path);
    ASSERT_TRUE(state.has_value()) << state.error().message;
    EXPECT_EQ(state->notLive, "");
    EXPECT_EQ(state->notReady, "nvidia.com/gpu: \"waiting\"");
  }
  EXPECT_FALSE(askProbes(path).has_value());
  for (const char* bad : {"", "[]", "{\"notLive\":1}"})
    EXPECT_FALSE(decodeProbeState(bad).has_value());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace railhead::agent

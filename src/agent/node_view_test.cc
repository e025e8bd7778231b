#include "src/agent/node_view.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using testing::HasSubstr;

// Its socket is not there: at its start it takes a moment, and a folder may be mounted wrongly.
TEST(NodeVfHolders, BelieveThatNobodyHoldsAnythingOnlyWhereThereNeverWasAKubelet) {
  std::string folder = testing::TempDir() + "rh-holders-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  KubeletPodDevices kubelet(folder + "/pods/kubelet.sock");
  NodeVfHolders holders(kubelet, folder);
  const auto none = holders.holders();
  ASSERT_TRUE(none.has_value()) << none.error().describe();
  EXPECT_TRUE(none->empty());
  for (const char* left : {"kubelet_internal_checkpoint", "kubelet.sock"}) {
    std::ofstream(folder + "/" + left) << "{}";
    const auto unknown = holders.holders();
    ASSERT_FALSE(unknown.has_value()) << left;
    EXPECT_THAT(unknown.error().message, HasSubstr("ask kubelet which pods hold VFs"));
    std::filesystem::remove(folder + "/" + left);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace railhead::agent

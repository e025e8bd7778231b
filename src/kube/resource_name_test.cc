#include "src/kube/resource_name.h"

#include <string>

#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

TEST(ResourceName, AcceptsExtendedResources) {
  for (const std::string name : {"nvidia.com/cx7_qsfp", "nvidia.com/gpu", "a/b", "x-y.z/A.b-c_d"}) {
    EXPECT_TRUE(checkResourceName(name).has_value()) << name;
  }
  EXPECT_TRUE(checkResourceName("nvidia.com/" + std::string(63, 'a')).has_value());
}

TEST(ResourceName, RefusesEverythingElse) {
  for (const std::string name :
       {"", "gpu", "/gpu", "nvidia.com/", "nvidia.com/a/b", "NVIDIA.com/gpu", "nvidia..com/gpu",
        "-a.com/gpu", "kubernetes.io/x", "node.kubernetes.io/x", "requests.nvidia.com/x",
        "nvidia.com/_x", "nvidia.com/x ", "nvidia.com/x\n"}) {
    const auto checked = checkResourceName(name);
    ASSERT_FALSE(checked.has_value()) << name;
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(checked.error().remedy.empty());
  }
  EXPECT_FALSE(checkResourceName("nvidia.com/" + std::string(64, 'a')).has_value());
}

}  // namespace
}  // namespace railhead::kube

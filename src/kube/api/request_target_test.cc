#include "src/kube/api/request_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::kube {
namespace {

using ::testing::HasSubstr;

TEST(RequestTarget, FollowsGroupAndNamespace) {
  EXPECT_EQ(collectionTarget({"", "v1", "nodes", ""}).value(), "/api/v1/nodes");
  EXPECT_EQ(collectionTarget({"a.b", "v1", "things", "default"}, {{"limit", "5"}, {"c", "a/b=="}})
                .value(),
            "/apis/a.b/v1/namespaces/default/things?limit=5&c=a%2Fb%3D%3D");
  EXPECT_EQ(objectTarget({{"", "v1", "pods", "default"}, "web-0"}, "status").value(),
            "/api/v1/namespaces/default/pods/web-0/status");
}

TEST(RequestTarget, RefusesWhatLeadsElsewhere) {
  for (const std::string& name :
       {std::string(), std::string(".."), std::string("a/b"), std::string("a?b"),
        std::string("a\n"), std::string("%2e"), std::string(254, 'a')}) {
    const auto target = objectTarget({{"", "v1", "pods", "default"}, name});
    ASSERT_FALSE(target.has_value()) << name;
    EXPECT_EQ(target.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(target.error().message, HasSubstr("name is "));
  }
  EXPECT_FALSE(collectionTarget({"", "v1", "pods", "../x"}).has_value());
}

}  // namespace
}  // namespace railhead::kube

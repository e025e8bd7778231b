#include "src/agent/cluster/node_labels.h"

#include "tests/support/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::ApiFault;

constexpr kube::PauseLimits kSoon{std::chrono::milliseconds(1), std::chrono::milliseconds(1)};

TEST(LabelPatch, ChangesOnlyWhatIsDifferent) {
  const std::string node = R"({"metadata":{"labels":{"a":"1","b":"2","theirs":"x"},)"
                           R"("annotations":{"railhead.io/labels":"a,b"}}})";
  EXPECT_EQ(labelPatch(node, {{"a", "1"}, {"b", "2"}}).value(), "");
  EXPECT_EQ(
      labelPatch(node, {{"a", "3"}, {"c", "4"}}).value(),
      R"({"metadata":{"labels":{"b":null,"a":"3","c":"4"},"annotations":{"railhead.io/labels":"a,c"}}})");
  EXPECT_EQ(
      labelPatch(node, {}).value(),
      R"({"metadata":{"labels":{"a":null,"b":null},"annotations":{"railhead.io/labels":""}}})");
  EXPECT_EQ(labelPatch("[]", {}).error().code, ErrorCode::kCorrupt);
}

class NodeLabelerTest : public testing_support::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    server->addKind("/api/v1", "nodes");
    server->put("/api/v1/nodes/node-a", R"({"metadata":{"labels":{"theirs":"x"}}})");
    labeler = std::move(*NodeLabeler::start(*api, log, "node-a", kSoon));
  }
  void TearDown() override { labeler.reset(); }
  bool waitFor(const std::string& part) {
    return waitUntil(
        [&] { return server->object("/api/v1/nodes/node-a")->find(part) != std::string::npos; });
  }

  std::unique_ptr<NodeLabeler> labeler;
};

TEST_F(NodeLabelerTest, WritesAndTakesBack) {
  labeler->set({{"nvidia.com/gpu.count", "8"}});
  ASSERT_TRUE(waitFor(R"("nvidia.com/gpu.count":"8")"));
  labeler = std::move(*NodeLabeler::start(*api, log, "node-a", kSoon));
  labeler->set({{"railhead.io/rail-sets", "4"}});
  ASSERT_TRUE(waitFor(R"("railhead.io/rail-sets":"4")"));
  EXPECT_THAT(*server->object("/api/v1/nodes/node-a"), Not(HasSubstr("gpu.count")));
  EXPECT_THAT(*server->object("/api/v1/nodes/node-a"), HasSubstr(R"("theirs":"x")"));
}

TEST_F(NodeLabelerTest, TriesUntilItWorksAndSaysOnceWhatIsWrong) {
  server->fail({.method = "PATCH", .times = 5, .status = 403});
  labeler->set({{"a", "1"}});
  ASSERT_TRUE(waitFor(R"("a":"1")"));
  const std::string text = log.text();
  EXPECT_THAT(text, HasSubstr("grant the verb 'patch' on nodes"));
  EXPECT_EQ(text.find("not written"), text.rfind("not written"));
}

TEST_F(NodeLabelerTest, StopsWhileACallHangs) {
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  labeler->set({{"a", "1"}});
  ASSERT_TRUE(server->waitForRequests("GET", "", 1));
  labeler.reset();
}

}  // namespace
}  // namespace railhead::agent

#include "src/agent/cluster/pod_status.h"

#include "tests/support/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::ApiFault;

const std::string kPod = "/api/v1/namespaces/train/pods/web-0";
const std::string kOurs = R"([{"name":"train/dgx-qsfp","interface":"net1","ips":["10.100.0.1"]}])";

class PodStatusTest : public testing_support::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    server->addKind("/api/v1", "pods");
    server->put(kPod, R"({"metadata":{"uid":"u1"}})");
    writer = std::move(*PodStatusWriter::start(
        *api, log,
        {.waiting = 2,
         .tries = 3,
         .pauses = {std::chrono::milliseconds(1), std::chrono::milliseconds(1)}}));
  }
  void TearDown() override { writer.reset(); }
  bool waitForAnnotation() {
    return waitUntil([&] { return server->object(kPod)->find("dgx-qsfp") != std::string::npos; });
  }

  std::unique_ptr<PodStatusWriter> writer;
};

TEST_F(PodStatusTest, WritesTheAnnotation) {
  writer->attached("train", "web-0", "u1", kOurs);
  ASSERT_TRUE(waitForAnnotation());
  EXPECT_THAT(*server->object(kPod), HasSubstr("k8s.v1.cni.cncf.io/network-status"));
  EXPECT_EQ(server->requests("PATCH", "/web-0/status"), 1);
}

// kubelet's static pod has another UID than what stands for it in the cluster.
TEST_F(PodStatusTest, AStaticPodIsKnownByItsMirror) {
  server->put(kPod,
              R"({"metadata":{"uid":"u1","annotations":{"kubernetes.io/config.mirror":"s1"}}})");
  writer->attached("train", "web-0", "s1", kOurs);
  EXPECT_TRUE(waitForAnnotation());
}

TEST_F(PodStatusTest, TriesAgainAfterAFailureAndAConflict) {
  server->fail({.method = "GET", .status = 503});
  server->fail({.method = "PATCH", .status = 409});
  writer->attached("train", "web-0", "u1", kOurs);
  ASSERT_TRUE(waitForAnnotation());
  EXPECT_EQ(server->requests("PATCH", ""), 2);
}

TEST_F(PodStatusTest, GivesUpAfterSomeTries) {
  server->fail({.method = "PATCH", .times = 3, .status = 500});
  writer->attached("train", "web-0", "u1", kOurs);
  ASSERT_TRUE(waitForLog("not written for pod train/web-0"));
  writer->attached("train", "web-0", "u1", kOurs);
  EXPECT_TRUE(waitForAnnotation());
}

TEST_F(PodStatusTest, LeavesAnotherPodOfThatNameAlone) {
  writer->attached("train", "web-0", "another", kOurs);
  writer->attached("train", "gone", "u2", kOurs);
  ASSERT_TRUE(server->waitForRequests("GET", "/gone", 1));
  EXPECT_THAT(*server->object(kPod), Not(HasSubstr("dgx-qsfp")));
  EXPECT_EQ(log.text(), "");
}

TEST_F(PodStatusTest, BoundsWhatWaitsAndStopsWhileACallHangs) {
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  writer->attached("train", "web-0", "u1", kOurs);
  ASSERT_TRUE(server->waitForRequests("GET", "", 1));
  for (int i = 0; i < 3; ++i) writer->attached("train", "web-0", "u1", kOurs);
  EXPECT_THAT(log.text(), HasSubstr("left out for pod train/web-0: 2 pods are waiting"));
  writer.reset();
}

TEST(NetworkStatus, IsMergedByInterface) {
  EXPECT_EQ(mergedNetworkStatus("", kOurs).value(), kOurs);
  EXPECT_EQ(mergedNetworkStatus("no JSON", kOurs).value(), kOurs);
  EXPECT_EQ(mergedNetworkStatus(R"([{"interface":"net1","name":"old"},{"interface":"x"},7,{}])",
                                R"([{"interface":"net1"}])")
                .value(),
            R"([{"interface":"x"},{"interface":"net1"}])");
  EXPECT_FALSE(mergedNetworkStatus("[]", "{}").has_value());
  EXPECT_FALSE(mergedNetworkStatus("[]", "[").has_value());
}

}  // namespace
}  // namespace railhead::agent

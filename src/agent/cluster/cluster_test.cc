#include "src/agent/cluster/cluster.h"

#include "tests/support/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kNads = "/apis/k8s.cni.cncf.io/v1";
const std::string kEvents = "/apis/events.k8s.io/v1/namespaces/train/events";

Result<ClusterConfig> parsed(const std::string& yaml) {
  ClusterConfig cluster;
  RAILHEAD_TRY_ASSIGN(const auto root, config::Field::parse(yaml, "x.yaml"));
  RAILHEAD_TRY(readCluster(root.child("kubernetes"), cluster));
  return cluster;
}

TEST(ClusterConfig, IsOffUnlessAsked) {
  EXPECT_FALSE(parsed("version: 1")->needsApiServer());
  EXPECT_FALSE(parsed("kubernetes: {nads: files, nadFolder: /a}")->needsApiServer());
  const auto all = parsed(
      "kubernetes: {nads: api, events: true, networkStatus: true, labels: true, "
      "ordinals: {namespace: a, prefix: b}}");
  ASSERT_TRUE(all.has_value()) << all.error().describe();
  EXPECT_TRUE(all->needsApiServer());
  EXPECT_TRUE(all->events && all->networkStatus && all->labels);
  EXPECT_EQ(all->leaseNamespace + all->leasePrefix, "ab");
}

TEST(ClusterConfig, IsRefusedWithItsField) {
  EXPECT_THAT(parsed("kubernetes: {nads: yes}").error().message,
              HasSubstr("kubernetes.nads is 'yes'; allowed: api, files, off"));
  EXPECT_THAT(parsed("kubernetes: {nadFolder: a}").error().message, HasSubstr("an absolute path"));
  EXPECT_FALSE(parsed("kubernetes: {event: true}").has_value());
  EXPECT_FALSE(parsed("kubernetes: {events: 1}").has_value());
}

class ClusterTest : public testing_support::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    access = {[this]() -> Result<std::unique_ptr<kube::ApiServer>> {
                ++opened;
                return client();
              },
              "node-a", "railhead"};
  }
  std::unique_ptr<Cluster> make(ClusterConfig config) {
    return std::make_unique<Cluster>(std::move(config), "/run/railhead",
                                     ClusterSeams{files, clock, log, &access});
  }

  ClusterAccess access;
  int opened = 0;
};

TEST_F(ClusterTest, WithoutConfigurationAsksNobody) {
  const auto cluster = make({});
  ASSERT_TRUE(cluster->start().has_value());
  EXPECT_EQ(cluster->nads(), nullptr);
  EXPECT_EQ(cluster->ordinal(4).value(), nullptr);
  cluster->observe({{"r", "0", "no carrier"}});
  cluster->label({{"a", "b"}});
  cluster->attached("a", "b", "c", "[]");
  EXPECT_EQ(opened, 0);
  EXPECT_EQ(server->connections(), 0);
}

TEST_F(ClusterTest, NeedsToKnowWhereTheApiServerIs) {
  ClusterConfig config;
  config.events = true;
  Cluster cluster(config, "/run/railhead", {files, clock, log, nullptr});
  EXPECT_EQ(cluster.start().error().code, ErrorCode::kEnvironment);
}

TEST_F(ClusterTest, KnowsNadsOverARestartWithoutApiServer) {
  ClusterConfig config;
  config.nads = NadOrigin::kApi;
  server->addKind(kNads, "network-attachment-definitions");
  server->put(kNads + "/namespaces/train/network-attachment-definitions/a",
              R"({"spec":{"config":"{}"}})");
  auto cluster = make(config);
  ASSERT_TRUE(cluster->start().has_value());
  ASSERT_TRUE(waitUntil([&] { return cluster->nads()->find("train", "a").has_value(); }));
  cluster.reset();
  server->stop();
  cluster = make(config);
  ASSERT_TRUE(cluster->start().has_value());
  EXPECT_EQ(cluster->nads()->find("train", "a"), (attach::Nad{"train", "a", "", "{}"}));
  EXPECT_THAT(cluster->nads()->names(), SizeIs(1));
}

TEST_F(ClusterTest, ClaimsTheOrdinalInItsOwnNamespace) {
  ClusterConfig config;
  config.ordinalByLease = true;
  server->addKind("/apis/coordination.k8s.io/v1", "leases");
  const auto cluster = make(config);
  ASSERT_TRUE(cluster->start().has_value());
  attach::NodeOrdinal* const ordinal = cluster->ordinal(4).value();
  ASSERT_NE(ordinal, nullptr);
  EXPECT_TRUE(waitUntil([&] { return ordinal->ordinal().value_or(-1) == 0; }));
  EXPECT_EQ(cluster->ordinal(4).value(), ordinal);
  EXPECT_TRUE(
      server->object("/apis/coordination.k8s.io/v1/namespaces/railhead/leases/railhead-ordinal-0"));
  access.ownNamespace.clear();
  const auto homeless = make(config);
  ASSERT_TRUE(homeless->start().has_value());
  EXPECT_EQ(homeless->ordinal(4).error().code, ErrorCode::kEnvironment);
}

TEST_F(ClusterTest, TellsOfAFailedAdd) {
  ClusterConfig config;
  config.events = true;
  server->addKind("/apis/events.k8s.io/v1", "events");
  const auto cluster = make(config);
  ASSERT_TRUE(cluster->start().has_value());
  const auto handler = cluster->reporting([](const cni::Call& call) {
    return call.command == "ADD" ? cni::Reply{1, R"({"code":11,"msg":"no rail","details":"wait"})"}
                                 : cni::Reply{1, "{}"};
  });
  cni::Call call;
  call.environment = {{"CNI_CONTAINERID", "c1"},
                      {"CNI_IFNAME", "eth0"},
                      {"CNI_NETNS", "/var/run/netns/x"},
                      {"CNI_ARGS", "K8S_POD_NAMESPACE=train;K8S_POD_NAME=web-0;K8S_POD_UID=u1"}};
  call.input = R"({"cniVersion":"1.1.0","name":"x","type":"railhead","prevResult":)"
               R"({"cniVersion":"1.1.0","interfaces":[{"name":"eth0"}]}})";
  call.command = "DEL";
  EXPECT_EQ(handler(call).exitCode, 1);
  call.command = "ADD";
  EXPECT_EQ(handler(call).exitCode, 1);
  ASSERT_TRUE(waitUntil([&] { return server->names(kEvents).size() == 1; }));
  EXPECT_THAT(*server->object(kEvents + "/" + server->names(kEvents)[0]),
              AllOf(HasSubstr(R"("note":"no rail; wait")"), HasSubstr(R"("uid":"u1")"),
                    HasSubstr(R"("reason":"AttachFailed")")));
}

}  // namespace
}  // namespace railhead::agent

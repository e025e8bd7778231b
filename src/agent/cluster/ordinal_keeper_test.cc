#include "src/agent/cluster/ordinal_keeper.h"

#include "tests/support/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::HasSubstr;
using testing_support::ApiFault;

constexpr const char* kKeptRoot = "/apis/coordination.k8s.io/v1";
constexpr const char* kKeptFile = "/run/railhead/ordinal.json";
const std::string kKeptLeases = std::string(kKeptRoot) + "/namespaces/railhead/leases";

class OrdinalKeeperTest : public testing_support::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    server->addKind(kKeptRoot, "leases");
  }
  std::unique_ptr<OrdinalKeeper> keep() {
    auto started =
        OrdinalKeeper::start(*api, files, clock, log, {"railhead", "ordinal", "a", 8}, kKeptFile,
                             {std::chrono::milliseconds(10), std::chrono::milliseconds(10)});
    EXPECT_TRUE(started.has_value());
    return std::move(*started);
  }
  bool becomes(OrdinalKeeper& keeper, int number) {
    return waitUntil([&] { return keeper.ordinal().value_or(-1) == number; });
  }
};

TEST_F(OrdinalKeeperTest, ClaimsWithoutKeepingAnybodyWaiting) {
  server->fail({.kind = ApiFault::Kind::kHang, .times = -1});
  const auto keeper = keep();
  const auto none = keeper->ordinal();
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(none.error().message, HasSubstr("this node's ordinal is not known yet"));
}

TEST_F(OrdinalKeeperTest, TriesUntilTheApiServerAnswers) {
  server->fail({.times = -1, .status = 503});
  const auto keeper = keep();
  ASSERT_TRUE(server->waitForRequests("GET", "leases", 3));
  EXPECT_THAT(keeper->ordinal().error().message, HasSubstr("not known yet: claim this node's"));
  const std::string told = log.text();
  EXPECT_THAT(told, HasSubstr("pods get no addresses of VFs yet"));
  server->clearFaults();
  EXPECT_TRUE(becomes(*keeper, 0));
  EXPECT_TRUE(waitForLog("this node's ordinal is 0"));
}

TEST_F(OrdinalKeeperTest, TheRememberedOneIsKnownAtOnceAndConfirmedLater) {
  ASSERT_TRUE(becomes(*keep(), 0));
  ASSERT_TRUE(files.exists(kKeptFile));
  server->stop();
  const auto keeper = keep();
  EXPECT_EQ(keeper->ordinal().value_or(-1), 0);
  EXPECT_TRUE(waitForLog("it is the remembered one"));
  // Meanwhile its Lease was deleted and another node took the number.
  ASSERT_TRUE(server->restart().has_value());
  server->put(kKeptLeases + "/ordinal-0", R"({"spec":{"holderIdentity":"b"}})");
  EXPECT_TRUE(becomes(*keeper, 1));
  EXPECT_TRUE(waitForLog("is 1, no longer 0"));
}

}  // namespace
}  // namespace railhead::agent

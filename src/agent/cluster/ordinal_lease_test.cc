#include "src/agent/cluster/ordinal_lease.h"

#include "tests/support/api_fixture.h"

#include <future>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::agent {
namespace {

using ::testing::HasSubstr;
using testing_support::ApiFault;

constexpr const char* kLeaseRoot = "/apis/coordination.k8s.io/v1";
constexpr const char* kFile = "/run/railhead/ordinal.json";
const std::string kLeases = std::string(kLeaseRoot) + "/namespaces/railhead/leases";

class OrdinalLeaseTest : public testing_support::ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    server->addKind(kLeaseRoot, "leases");
  }
  Result<OrdinalClaim> claim(const std::string& node, int limit = 8) {
    return claimOrdinal(*api, files, clock, {"railhead", "ordinal", node, limit}, kFile, cancel);
  }
};

TEST_F(OrdinalLeaseTest, GivesTheLowestFreeNumberForEver) {
  EXPECT_EQ(claim("a")->ordinal, 0);
  EXPECT_EQ(claim("b")->ordinal, 1);
  EXPECT_EQ(claim("a")->ordinal, 0);
  server->remove(kLeases + "/ordinal-0");
  EXPECT_EQ(claim("c")->ordinal, 0);
  EXPECT_EQ(claim("b")->ordinal, 1);
  EXPECT_THAT(*server->object(kLeases + "/ordinal-0"), HasSubstr(R"("holderIdentity":"c")"));
}

TEST_F(OrdinalLeaseTest, LeavesOtherLeasesAlone) {
  for (const char* name : {"/ordinal-007", "/ordinal-x", "/other-0", "/ordinal-99"})
    server->put(kLeases + name, R"({"spec":{"holderIdentity":"a"}})");
  EXPECT_EQ(claim("a")->ordinal, 0);
}

TEST_F(OrdinalLeaseTest, GivesNodesThatStartTogetherDifferentNumbers) {
  constexpr int kNodes = 8;
  std::vector<std::future<int>> claims;
  for (int i = 0; i < kNodes; ++i) {
    claims.push_back(std::async(std::launch::async, [&, i] {
      testing_support::MemoryFilesystem own;
      own.putDirectory("/run/railhead");
      const auto claimed =
          claimOrdinal(*api, own, clock, {"railhead", "ordinal", "n" + std::to_string(i), kNodes},
                       kFile, cancel);
      return claimed.has_value() ? claimed->ordinal : -1;
    }));
  }
  std::set<int> numbers;
  for (auto& one : claims) numbers.insert(one.get());
  EXPECT_EQ(numbers, (std::set<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(OrdinalLeaseTest, FindsItsOwnWhenTheAnswerWasLost) {
  server->fail({.kind = ApiFault::Kind::kNoReply, .method = "POST"});
  static_cast<void>(claim("a"));  // libcurl itself may ask again on a new connection
  EXPECT_EQ(claim("a")->ordinal, 0);
  EXPECT_EQ(claim("b")->ordinal, 1);
}

TEST_F(OrdinalLeaseTest, TakesTheRememberedOneWithoutApiServer) {
  EXPECT_EQ(claim("a")->ordinal, 0);
  server->stop();
  const auto remembered = claim("a");
  ASSERT_TRUE(remembered.has_value()) << remembered.error().describe();
  EXPECT_EQ(remembered->ordinal, 0);
  EXPECT_THAT(remembered->warning, HasSubstr("remembered"));
  EXPECT_FALSE(claim("b").has_value()) << "that of another node is not ours";
  EXPECT_FALSE(claim("a", 0).has_value()) << "nor one beyond the limit";
  files.put(kFile, "{");
  const auto none = claim("a");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(none.error().remedy, HasSubstr("first start"));
}

TEST_F(OrdinalLeaseTest, SaysWhenAllAreHeldOrTheRightIsMissing) {
  EXPECT_EQ(claim("a", 1)->ordinal, 0);
  files.erase(kFile);
  EXPECT_EQ(claim("b", 1).error().code, ErrorCode::kExhausted);
  server->fail({.method = "POST", .status = 403});
  const auto refused = claim("b", 2);
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(refused.error().describe(), HasSubstr("'create' on leases.coordination.k8s.io"));
}

}  // namespace
}  // namespace railhead::agent

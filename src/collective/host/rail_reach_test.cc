#include "src/collective/host/rail_reach.h"

#include "src/collective/group.h"
#include "tests/support/free_port.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

HostRail railAt(const std::string& address) {
  return {HostRail::Kind::kVerbs, address, "rxe0", 1, 0};
}

// What each of two ranks is told, as threads over the loopback interface.
std::vector<Result<std::vector<std::string>>> ask(const std::vector<std::vector<HostRail>>& rails,
                                                  std::chrono::milliseconds patience = 300ms) {
  const auto port = testing_support::freePort();
  const auto soon = [] { return std::chrono::steady_clock::now() + 20s; };
  std::vector<std::future<Result<std::vector<std::string>>>> asked;
  for (int rank = 0; rank < 2; ++rank) {
    asked.push_back(std::async(std::launch::async, [&, rank] {
      const World world{rank, 2, rank, "127.0.0.1", port, "", ""};
      const auto group = Group::join(world, {"reach test", soon(), 20s, {}}).value();
      return railHindrances(rank, 2, rails[static_cast<std::size_t>(rank)], patience,
                            [&](const std::string& own) { return group->gather(own, soon()); });
    }));
  }
  std::vector<Result<std::vector<std::string>>> answers;
  for (auto& one : asked) answers.push_back(one.get());
  return answers;
}

TEST(RailReach, EveryRailCarries) {
  const auto rails = std::vector{railAt("127.0.0.2"), railAt("127.0.0.3")};
  for (const auto& answer : ask({rails, rails}, 20s)) EXPECT_THAT(*answer, ElementsAre("", ""));
}

// 192.0.2.1 is nobody's (RFC 5737): that rank cannot listen there, so nobody can reach it.
TEST(RailReach, ARailThatDoesNotIsNamedTheSameOnAllRanks) {
  const auto answers =
      ask({{railAt("127.0.0.2"), railAt("127.0.0.3")}, {railAt("127.0.0.2"), railAt("192.0.2.1")}});
  for (const auto& answer : answers) {
    EXPECT_THAT(*answer, ElementsAre(IsEmpty(), StartsWith("from rank 0 to rank 1: ")));
  }
  EXPECT_EQ(*answers[0], *answers[1]);
}

TEST(RailReach, RanksWithDifferentNumbersOfRailsAreToldSo) {
  for (const auto& answer :
       ask({{railAt("127.0.0.2")}, {railAt("127.0.0.2"), railAt("127.0.0.3")}})) {
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, ErrorCode::kCheckFailed);
  }
}

}  // namespace
}  // namespace railhead::collective

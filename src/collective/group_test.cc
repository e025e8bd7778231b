#include "src/collective/group.h"

#include "src/collective/group_wire.h"
#include "src/os/tcp.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/free_port.h"

#include <future>
#include <latch>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

os::Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

// Ranks as threads of this process.
class GroupTest : public testing::Test {
 protected:
  World world(int rank, int ranks) const {
    return {rank, ranks, rank, "127.0.0.1", port_, "secret", "node-" + std::to_string(rank)};
  }
  GroupSettings settings(std::chrono::milliseconds silence = 20s) const {
    return {"test 1", in(20s), silence, {}};
  }
  // Joins all ranks and runs `body` in each; the results in order.
  template <typename Body>
  auto run(int ranks, const GroupSettings& with, Body body) {
    std::vector<std::future<decltype(body(std::declval<Group&>()))>> running;
    for (int rank = 0; rank < ranks; ++rank) {
      running.push_back(std::async(std::launch::async, [&, rank] {
        auto group = Group::join(world(rank, ranks), with);
        EXPECT_TRUE(group.has_value()) << group.error().describe();
        return body(**group);
      }));
    }
    std::vector<decltype(body(std::declval<Group&>()))> out;
    for (auto& one : running) out.push_back(one.get());
    return out;
  }

  std::uint16_t port_ = testing_support::freePort();
};

TEST_F(GroupTest, EveryRankReceivesTheTextsOfAllInOrder) {
  const auto results = run(4, settings(), [](Group& group) {
    std::vector<std::string> last;
    for (int round = 0; round < 20; ++round) {
      last = group.gather(std::to_string(group.world().rank * 100 + round), in(10s)).value();
    }
    EXPECT_EQ(group.fromHub(group.world().rank == 0 ? "plan" : "mine", in(10s)).value(), "plan");
    EXPECT_TRUE(group.barrier(in(10s)).has_value());
    return last;
  });
  for (const auto& result : results) EXPECT_THAT(result, ElementsAre("19", "119", "219", "319"));
}

TEST_F(GroupTest, LongTextsComeWhole) {
  const auto results = run(3, settings(), [](Group& group) {
    const std::size_t size = static_cast<std::size_t>(group.world().rank) * 100'000;
    return group.gatherLong(std::string(size, 'a'), in(10s)).value();
  });
  for (const auto& result : results) {
    ASSERT_EQ(result.size(), 3U);
    EXPECT_EQ(result[0].size(), 0U);
    EXPECT_EQ(result[1].size(), 100'000U);
    EXPECT_EQ(result[2], std::string(200'000, 'a'));
  }
}

TEST_F(GroupTest, OneRankAloneNeedsNoNetwork) {
  World alone = world(0, 1);
  alone.masterPort = 0;
  const auto group = Group::join(alone, settings()).value();
  EXPECT_THAT(group->gather("a", in(1s)).value(), ElementsAre("a"));
}

TEST_F(GroupTest, ARankThatGivesUpEndsTheGangWithItsReason) {
  const auto results = run(3, settings(), [](Group& group) {
    if (group.world().rank == 2) {
      group.fail(Error(ErrorCode::kCheckFailed, "7 wrong bytes"));
      return std::string("gave up");
    }
    return group.gather("x", in(10s)).error().message;
  });
  EXPECT_THAT(results[0], HasSubstr("rank 2 (node node-2) gave up: 7 wrong bytes"));
  EXPECT_THAT(results[1], HasSubstr("rank 2 (node node-2) gave up: 7 wrong bytes"));
}

TEST_F(GroupTest, TellsAWorkingRankThatAPeerIsGone) {
  std::promise<Error> told;
  GroupSettings with = settings();
  with.onFailure = [&](const Error& error) { told.set_value(error); };
  std::latch joined(2);
  auto hub = std::async(std::launch::async, [&] {
    const auto group = Group::join(world(0, 2), with).value();
    joined.arrive_and_wait();
    const Error error = told.get_future().get();  // while this rank is busy elsewhere
    EXPECT_TRUE(group->failure().has_value());
    return error.message;
  });
  // A rank of another hand, which speaks the protocol and then dies without a word.
  auto fd = os::connectTcp({IpAddress::parse("127.0.0.1").value(), port_}, in(10s)).value();
  ASSERT_TRUE(
      os::sendFrame(fd.get(), encodeIntroduction({"test 1", "secret", 2, 1, "spark-b"}), in(1s)));
  EXPECT_EQ(os::receiveFrame(fd.get(), in(5s)).value(), kWelcome);
  joined.arrive_and_wait();
  fd.reset();
  EXPECT_THAT(hub.get(), HasSubstr("rank 1 (node spark-b) is gone"));
}

TEST_F(GroupTest, ASilentRankIsGoneToo) {
  auto hub = std::async(std::launch::async, [&] {
    const auto group = Group::join(world(0, 2), settings(200ms)).value();
    return group->gather("x", in(10s)).error().message;
  });
  auto fd = os::connectTcp({IpAddress::parse("127.0.0.1").value(), port_}, in(10s)).value();
  ASSERT_TRUE(os::sendFrame(fd.get(), encodeIntroduction({"test 1", "secret", 2, 1, "n"}), in(1s)));
  EXPECT_THAT(hub.get(), HasSubstr("nothing was heard of it for 200 ms"));
}

TEST_F(GroupTest, NamesTheRanksThatDoNotCome) {
  GroupSettings with = settings();
  with.meetBy = in(3s);
  auto member = std::async(std::launch::async, [&] {
    auto group = Group::join(world(1, 4), with);
    return group.has_value() ? (*group)->gather("x", in(10s)).error().message
                             : group.error().message;
  });
  const auto group = Group::join(world(0, 4), with);
  ASSERT_FALSE(group.has_value());
  EXPECT_EQ(group.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(group.error().message, HasSubstr("rank 2, 3 of 4 did not come"));
  EXPECT_THAT(member.get(), HasSubstr("2, 3 of 4 did not come"));
}

TEST_F(GroupTest, ARankWithoutAHubSaysWhereItLooked) {
  GroupSettings with = settings();
  with.meetBy = in(150ms);
  const auto group = Group::join(world(1, 2), with);
  ASSERT_FALSE(group.has_value());
  EXPECT_EQ(group.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(group.error().message, HasSubstr("rank 0 at 127.0.0.1:" + std::to_string(port_)));
}

TEST_F(GroupTest, TurnsStrangersAwayAndGoesOnWaiting) {
  auto hub = std::async(std::launch::async, [&] {
    const auto group = Group::join(world(0, 2), settings()).value();
    return group->gather("hub", in(10s)).value();
  });
  struct Stranger {
    Introduction introduction;
    const char* refusal;
  };
  const Stranger strangers[] = {{{"test 1", "guess", 2, 1, ""}, "wrong token"},
                                {{"test 2", "secret", 2, 1, ""}, "runs 'test 1'"},
                                {{"test 1", "secret", 3, 1, ""}, "has 2 ranks"},
                                {{"test 1", "secret", 2, 0, ""}, "rank 0 is there already"}};
  for (const auto& stranger : strangers) {
    auto fd = os::connectTcp({IpAddress::parse("127.0.0.1").value(), port_}, in(10s)).value();
    ASSERT_TRUE(os::sendFrame(fd.get(), encodeIntroduction(stranger.introduction), in(1s)));
    EXPECT_THAT(os::receiveFrame(fd.get(), in(5s)).value(), HasSubstr(stranger.refusal));
  }
  World wrong = world(1, 2);
  wrong.token = "guess";
  const auto refused = Group::join(wrong, settings());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
  const auto group = Group::join(world(1, 2), settings()).value();
  EXPECT_THAT(group->gather("member", in(10s)).value(), ElementsAre("hub", "member"));
  EXPECT_THAT(hub.get(), ElementsAre("hub", "member"));
}

TEST_F(GroupTest, ARankThatLeftIsNamedWhenItIsMissed) {
  const auto results = run(2, settings(), [](Group& group) {
    if (group.world().rank == 1) return std::string("done");
    return group.gather("x", in(10s)).error().message;
  });
  EXPECT_THAT(results[0], HasSubstr("rank 1 (node node-1) has left the gang"));
}

TEST(GroupWire, SurvivesWhateverComes) {
  const std::string good = encodeFrame({FrameKind::kWhole, 3, {"a", "", "ccc"}});
  EXPECT_EQ(decodeFrame(good)->texts, (std::vector<std::string>{"a", "", "ccc"}));
  int refused = 0;
  testing_support::fuzz({good}, [&](const std::string& bytes) {
    const auto frame = decodeFrame(bytes);
    if (frame.has_value()) return;
    EXPECT_EQ(frame.error().code, ErrorCode::kCorrupt);
    ++refused;
  });
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace railhead::collective

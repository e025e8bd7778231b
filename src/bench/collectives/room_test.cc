// Which ranks share which memory, with ranks as threads.
#include "src/bench/collectives/room.h"

#include "tests/support/free_port.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::bench {
namespace {

using collective::Memory;
using testing::HasSubstr;

os::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

// Has room to tell of, and nothing else.
class ToldMemory final : public Memory {
 public:
  explicit ToldMemory(Result<Room> room) : room_(std::move(room)) {}
  collective::MemoryKind kind() const override { return collective::MemoryKind::kDevice; }
  Result<Room> room() override { return room_; }
  Result<std::unique_ptr<collective::Buffer>> allocate(std::size_t) override { return none(); }
  Result<void> fill(collective::Buffer&, const std::vector<collective::Expectation>&) override {
    return none();
  }
  Result<void> spoil(collective::Buffer&) override { return none(); }
  Result<collective::DataCheck> check(const collective::Buffer&,
                                      const std::vector<collective::Expectation>&) override {
    return none();
  }

 private:
  static Error none() { return Error(ErrorCode::kUnsupported, "not in this test"); }
  const Result<Room> room_;
};

// What each of two ranks of one node is told of a size of 1000 bytes.
std::vector<Result<void>> askedBy(const Result<Memory::Room>& first,
                                  const Result<Memory::Room>& second) {
  const auto port = testing_support::freePort();
  std::vector<std::future<Result<void>>> running;
  for (int rank = 0; rank < 2; ++rank) {
    running.push_back(std::async(std::launch::async, [&, rank]() -> Result<void> {
      const collective::World world{rank, 2, rank, "127.0.0.1", port, "", "node"};
      RAILHEAD_TRY_ASSIGN(
          const auto group,
          collective::Group::join(world, {"room test", soon(), std::chrono::seconds(20), {}}));
      ToldMemory memory(rank == 0 ? first : second);
      auto told = checkRoomTogether("--size", 1000, memory, *group, soon());
      RAILHEAD_TRY(group->barrier(soon()));
      return told;
    }));
  }
  std::vector<Result<void>> out;
  for (auto& one : running) out.push_back(one.get());
  return out;
}

// Three buffers of 1000 bytes want 3334 free bytes for one rank and 6667 for two.
TEST(Room, IsSharedByTheRanksOfADeviceNotOfANode) {
  const Memory::Room enoughForOne{5000, 10000, false, "GPU-1"};
  for (const auto& told : askedBy(enoughForOne, enoughForOne)) {
    ASSERT_FALSE(told.has_value());
    EXPECT_THAT(told.error().describe(), HasSubstr("2 ranks here would need"));
  }
  for (const auto& told : askedBy(enoughForOne, Memory::Room{5000, 10000, false, "GPU-2"})) {
    EXPECT_TRUE(told.has_value()) << told.error().describe();
  }
}

TEST(Room, ThatOneRankLacksOrCannotTellIsRefusedOnBoth) {
  const Memory::Room enough{5000, 10000, false, "GPU-1"};
  const auto lacks = askedBy(enough, Memory::Room{3000, 10000, false, "GPU-2"});
  ASSERT_FALSE(lacks[0].has_value());
  EXPECT_EQ(lacks[0].error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(lacks[0].error().message, HasSubstr("rank 1: --size 1000 B"));
  EXPECT_FALSE(lacks[1].has_value());
  const auto silent = askedBy(enough, Error(ErrorCode::kIo, "the device does not answer"));
  ASSERT_FALSE(silent[0].has_value());
  EXPECT_EQ(silent[0].error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(silent[0].error().message, HasSubstr("rank 1: the device does not answer"));
  ASSERT_FALSE(silent[1].has_value());
  EXPECT_EQ(silent[1].error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace railhead::bench

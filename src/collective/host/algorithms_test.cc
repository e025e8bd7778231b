#include "src/collective/host/algorithms.h"

#include "src/collective/checked_call.h"
#include "src/collective/host/element_math.h"
#include "src/collective/host/host_memory.h"
#include "tests/support/memory_filesystem.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

// Lanes between the threads of a test: pieces of 128 bytes through queues.
class Switchboard {
 public:
  explicit Switchboard(int ranks) : ranks_(ranks) {}
  int ranks() const { return ranks_; }
  void put(int from, int to, std::span<const std::byte> piece) {
    const std::lock_guard lock(mutex_);
    queues_[{from, to}].emplace_back(piece.begin(), piece.end());
    changed_.notify_all();
  }
  std::vector<std::byte> take(int from, int to) {
    std::unique_lock lock(mutex_);
    auto& queue = queues_[{from, to}];
    changed_.wait(lock, [&] { return !queue.empty(); });
    auto piece = std::move(queue.front());
    queue.pop_front();
    return piece;
  }

 private:
  int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> queues_;
};

class ThreadLanes final : public Lanes {
 public:
  ThreadLanes(Switchboard& board, int rank) : board_(board), rank_(rank) {}
  int rank() const override { return rank_; }
  int ranks() const override { return board_.ranks(); }
  Result<void> exchange(const Exchange& exchange) override {
    for (std::size_t at = 0; at < exchange.out.size(); at += kPiece) {
      board_.put(rank_, exchange.to,
                 exchange.out.subspan(at, std::min(kPiece, exchange.out.size() - at)));
    }
    for (std::size_t at = 0; at < exchange.inBytes;) {
      const auto piece = board_.take(exchange.from, rank_);
      exchange.consume(at, piece);
      at += piece.size();
    }
    return {};
  }

 private:
  static constexpr std::size_t kPiece = 128;
  Switchboard& board_;
  int rank_;
};

// Runs one checked call on `ranks` threads, cut over `rails`; the elements found wrong in all.
std::uint64_t wrongAfter(const Call& call, int ranks, std::size_t rails, Algorithm algorithm) {
  std::vector<std::unique_ptr<Switchboard>> boards;
  for (std::size_t rail = 0; rail < rails; ++rail) {
    boards.push_back(std::make_unique<Switchboard>(ranks));
  }
  std::vector<std::future<std::uint64_t>> running;
  for (int rank = 0; rank < ranks; ++rank) {
    running.push_back(std::async(std::launch::async, [&, rank] {
      testing_support::MemoryFilesystem files;
      HostMemory memory(files, "/proc/meminfo");
      const auto shape = shapeOf(call, rank, ranks).value();
      const auto plan = checkedCall(call, rank, ranks, 7).value();
      const std::size_t width = elementBytes(call.type);
      const auto whole = memory.allocate(call.count * width).value();
      const auto apart = memory.allocate(call.count * width).value();
      EXPECT_TRUE(memory.spoil(*whole));
      EXPECT_TRUE(memory.spoil(*apart));
      auto* base = static_cast<std::byte*>(whole->data());
      auto* other = static_cast<std::byte*>(apart->data());
      const std::size_t offset = shape.inPlaceOffset * width;
      const bool gathers = shape.sendCount < shape.receiveCount;
      const bool scatters = shape.receiveCount < shape.sendCount;
      std::byte* send = base;
      std::byte* receive = call.inPlace ? base : other;
      if (call.inPlace && gathers) send = base + offset;
      if (call.inPlace && scatters) receive = base + offset;
      // Fill and check work on whole buffers: stage through `scratch`.
      const auto scratch = memory.allocate(call.count * width).value();
      EXPECT_TRUE(memory.fill(*scratch, plan.before));
      std::memcpy(send, scratch->data(), shape.sendCount * width);
      for (std::size_t rail = 0; rail < rails; ++rail) {
        ThreadLanes lanes(*boards[rail], rank);
        const Share share = shareOf(call, ranks, rail, rails).value();
        EXPECT_TRUE(runCall(lanes, call, share, algorithm, send, receive));
      }
      std::memcpy(scratch->data(), receive, shape.receiveCount * width);
      return memory.check(*scratch, plan.after)->elementsWrong;
    }));
  }
  std::uint64_t wrong = 0;
  for (auto& one : running) wrong += one.get();
  return wrong;
}

TEST(Algorithms, MoveAndAddRightlyForEveryOperationTypeAndSize) {
  for (const int ranks : {1, 2, 3, 4}) {
    for (const Operation operation : allOperations()) {
      for (const ElementType type : allElementTypes()) {
        for (const std::size_t perRank : {1UL, 7UL, 96UL}) {
          for (const bool inPlace : {false, true}) {
            Call call{operation, type, perRank * static_cast<std::size_t>(ranks), ranks - 1,
                      inPlace};
            if (!shapeOf(call, 0, ranks).has_value()) continue;
            for (const Algorithm algorithm : {Algorithm::kRing, Algorithm::kDirect}) {
              EXPECT_EQ(wrongAfter(call, ranks, 1, algorithm), 0U)
                  << operationName(operation) << " " << elementTypeName(type) << " " << call.count
                  << " elements, " << ranks << " ranks, in place " << inPlace << ", "
                  << algorithmName(algorithm);
            }
          }
        }
      }
    }
  }
}

TEST(Algorithms, CutACallOverRails) {
  for (const Operation operation : allOperations()) {
    const Call call{operation, ElementType::kFloat32, 3 * 65, 1, false};
    EXPECT_EQ(wrongAfter(call, 3, 2, Algorithm::kRing), 0U) << operationName(operation);
    EXPECT_EQ(wrongAfter(call, 3, 4, Algorithm::kDirect), 0U) << operationName(operation);
  }
}

TEST(ShareOf, CoversEverythingOnce) {
  const Call call{Operation::kAllReduce, ElementType::kInt8, 10, 0, false};
  std::size_t next = 0;
  for (std::size_t rail = 0; rail < 3; ++rail) {
    const Share share = shareOf(call, 2, rail, 3).value();
    EXPECT_EQ(share.first, next);
    next += share.count;
  }
  EXPECT_EQ(next, 10U);
}

TEST(CheckedCall, SeesAByteThatDidNotArrive) {
  testing_support::MemoryFilesystem files;
  HostMemory memory(files, "/proc/meminfo");
  for (const Operation operation : allOperations()) {
    const Call call{operation, ElementType::kBfloat16, 64, 0, false};
    const auto plan = checkedCall(call, 0, 2, 3).value();
    const auto buffer = memory.allocate(128).value();
    ASSERT_TRUE(memory.spoil(*buffer));
    ASSERT_TRUE(memory.fill(*buffer, plan.after));
    EXPECT_EQ(memory.check(*buffer, plan.after)->elementsWrong, 0U);
    const std::size_t at = plan.after.back().offset + 6;
    static_cast<std::byte*>(buffer->data())[at] ^= std::byte{1};
    const auto found = memory.check(*buffer, plan.after).value();
    EXPECT_EQ(found.elementsWrong, 1U) << operationName(operation);
    EXPECT_EQ(found.firstWrong / 4, at / 4) << operationName(operation);
    static_cast<std::byte*>(buffer->data())[at] ^= std::byte{1};
    const auto next = checkedCall(call, 0, 2, 4).value();
    EXPECT_GT(memory.check(*buffer, next.after)->elementsWrong, 0U) << "yesterday's bytes";
  }
}

TEST(ElementMath, HalfTypesRoundAsTheHardwareDoes) {
  const auto sum = [](ElementType type, std::uint16_t a, std::uint16_t b) {
    std::array<std::byte, 2> into{};
    std::array<std::byte, 2> from{};
    std::memcpy(into.data(), &a, 2);
    std::memcpy(from.data(), &b, 2);
    addElements(type, into, from);
    std::uint16_t out = 0;
    std::memcpy(&out, into.data(), 2);
    return out;
  };
  EXPECT_EQ(sum(ElementType::kFloat16, 0x3c00, 0x3c00), 0x4000);  // 1 + 1 = 2
  EXPECT_EQ(sum(ElementType::kFloat16, 0x6800, 0x3c00), 0x6800);  // 2048 + 1: to even
  EXPECT_EQ(sum(ElementType::kFloat16, 0x6800, 0x4200), 0x6802);  // 2048 + 3 = 2051 -> 2052
  EXPECT_EQ(sum(ElementType::kFloat16, 0x7bff, 0x7bff), 0x7c00);  // beyond 65504: infinity
  EXPECT_EQ(sum(ElementType::kFloat16, 0x0001, 0x0001), 0x0002);  // below the normal ones
  EXPECT_EQ(sum(ElementType::kFloat16, 0xbc00, 0x3c00), 0x0000);  // -1 + 1
  EXPECT_EQ(sum(ElementType::kBfloat16, 0x3f80, 0x3f80), 0x4000);
  EXPECT_EQ(sum(ElementType::kBfloat16, 0x4380, 0x3f80), 0x4380);  // 256 + 1: to even
  EXPECT_EQ(sum(ElementType::kBfloat16, 0x4380, 0x4040), 0x4382);  // 256 + 3 = 259 -> 260
}

TEST(ElementMath, HoldsEveryPatternNumberExactly) {
  for (const ElementType type : allElementTypes()) {
    for (std::uint32_t a = 0; a <= 127; ++a) {
      std::array<std::byte, 8> into{};
      std::array<std::byte, 8> from{};
      std::array<std::byte, 8> whole{};
      const std::size_t width = elementBytes(type);
      storeNumber(type, a / 2, into.data());
      storeNumber(type, a - a / 2, from.data());
      storeNumber(type, a, whole.data());
      addElements(type, std::span(into).first(width),
                  std::span<const std::byte>(from).first(width));
      EXPECT_EQ(into, whole) << elementTypeName(type) << " " << a;
    }
  }
}

TEST(HostMemory, ReadsWhatTheKernelHasFree) {
  testing_support::MemoryFilesystem files;
  files.put("/proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   500 kB\n");
  HostMemory memory(files, "/proc/meminfo");
  EXPECT_EQ(memory.room()->totalBytes, 1000U << 10);
  EXPECT_EQ(memory.room()->freeBytes, 500U << 10);
  files.put("/proc/meminfo", "nonsense");
  EXPECT_EQ(memory.room().error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace railhead::collective

#include "src/collective/communicator_contract.h"

#include "src/collective/checked_call.h"

#include <cstddef>
#include <thread>

#include <gtest/gtest.h>

namespace railhead::collective {

Result<std::vector<std::string>> Meeting::gather(int rank, const std::string& own) {
  constexpr std::chrono::seconds kPatience{60};
  std::unique_lock lock(mutex_);
  const std::size_t round = round_;
  texts_[static_cast<std::size_t>(rank)] = own;
  if (++arrived_ == ranks_) {
    arrived_ = 0;
    ++round_;
    complete_ = texts_;
    changed_.notify_all();
  } else if (!changed_.wait_for(lock, kPatience, [&] { return round_ != round; })) {
    return Error(ErrorCode::kDeadlineExceeded, "not every rank came");
  }
  return complete_;
}

namespace {

using namespace std::chrono_literals;

constexpr auto kEnough = 60s;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

// One rank in a body: its communicator, and a barrier.
struct Rank {
  Communicator& communicator;
  std::function<void()> together;
};

void eachRank(const ConnectRank& connect, int ranks, const std::function<void(Rank&)>& body) {
  Meeting meeting(ranks);
  std::vector<std::thread> threads;
  for (int number = 0; number < ranks; ++number) {
    threads.emplace_back([&, number] {
      const Gather gather = [&](const std::string& own) { return meeting.gather(number, own); };
      auto communicator = connect(number, ranks, gather);
      ASSERT_TRUE(communicator.has_value()) << communicator.error().describe();
      Rank rank{**communicator, [&] { EXPECT_TRUE(gather("").has_value()); }};
      // A connection that one end has made is not made at the other yet: nobody ends it before.
      rank.together();
      body(rank);
      rank.together();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Place {
  std::unique_ptr<Buffer> send;  // null in place
  std::unique_ptr<Buffer> receive;
  const void* from = nullptr;
  void* to = nullptr;
  std::size_t fromOffset = 0;  // of the send part in the buffer, in place
  std::size_t toOffset = 0;
};

Place placeFor(Communicator& communicator, const Call& call) {
  const CallShape shape = shapeOf(call, communicator.rank(), communicator.ranks()).value();
  const std::size_t width = elementBytes(call.type);
  const std::size_t bytes = call.count * width;
  Place place;
  place.receive = communicator.memory().allocate(bytes).value();
  place.to = place.receive->data();
  if (!call.inPlace) {
    place.send = communicator.memory().allocate(bytes).value();
    place.from = place.send->data();
    return place;
  }
  const std::size_t inside = shape.inPlaceOffset * width;
  if (shape.sendCount < shape.receiveCount) place.fromOffset = inside;
  if (shape.receiveCount < shape.sendCount) place.toOffset = inside;
  auto* base = static_cast<std::byte*>(place.receive->data());
  place.from = base + place.fromOffset;
  place.to = base + place.toOffset;
  return place;
}

std::vector<Expectation> moved(std::vector<Expectation> parts, std::size_t by) {
  for (Expectation& part : parts) part.offset += by;
  return parts;
}

void checkOnce(Communicator& communicator, const Call& call, std::uint32_t seed) {
  SCOPED_TRACE(std::string(operationName(call.operation)) + " " +
               std::string(elementTypeName(call.type)) + " x " + std::to_string(call.count) +
               (call.inPlace ? " in place" : ""));
  const auto plan = checkedCall(call, communicator.rank(), communicator.ranks(), seed).value();
  Memory& memory = communicator.memory();
  const Place place = placeFor(communicator, call);
  ASSERT_TRUE(memory.spoil(*place.receive).has_value());
  Buffer& source = place.send != nullptr ? *place.send : *place.receive;
  ASSERT_TRUE(memory.fill(source, moved(plan.before, place.fromOffset)).has_value());
  const auto started = communicator.enqueue(call, place.from, place.to);
  ASSERT_TRUE(started.has_value()) << started.error().describe();
  const auto done = communicator.wait(in(kEnough));
  ASSERT_TRUE(done.has_value()) << done.error().describe();
  const auto found = memory.check(*place.receive, moved(plan.after, place.toOffset));
  ASSERT_TRUE(found.has_value()) << found.error().describe();
  EXPECT_EQ(found->elementsWrong, 0U) << "the first at byte " << found->firstWrong;
}

}  // namespace

void checkEveryCall(const ConnectRank& connect, int ranks) {
  eachRank(connect, ranks, [&](Rank& rank) {
    std::uint32_t seed = 100;
    for (const Operation operation : allOperations()) {
      for (const ElementType type : allElementTypes()) {
        for (const std::size_t count : {1UL, 37UL}) {
          for (const bool inPlace : {false, true}) {
            const Call call{operation, type, count * static_cast<std::size_t>(ranks), ranks - 1,
                            inPlace};
            ++seed;
            if (shapeOf(call, rank.communicator.rank(), ranks)) {
              EXPECT_TRUE(rank.communicator.supports(call).has_value());
              checkOnce(rank.communicator, call, seed);
            }
          }
        }
      }
    }
    EXPECT_FALSE(rank.communicator.describe().name.empty());
    EXPECT_FALSE(rank.communicator.describe().version.empty());
  });
}

void checkThatChecksFind(const ConnectRank& connect) {
  eachRank(connect, 1, [](Rank& rank) {
    Memory& memory = rank.communicator.memory();
    const auto buffer = memory.allocate(4096).value();
    EXPECT_EQ(buffer->size(), 4096U);
    Expectation words;
    words.bytes = 1003;
    words.offset = 5;
    words.seed = 9;
    ASSERT_TRUE(memory.spoil(*buffer).has_value());
    const DataCheck spoilt = memory.check(*buffer, {words}).value();
    EXPECT_EQ(spoilt.bytesChecked, 1003U);
    EXPECT_EQ(spoilt.elementsWrong, 251U);
    EXPECT_EQ(spoilt.firstWrong, 5U);
    ASSERT_TRUE(memory.fill(*buffer, {words}).has_value());
    EXPECT_EQ(memory.check(*buffer, {words}).value().elementsWrong, 0U);
    // Another's part, written over a piece of it.
    Expectation others = words;
    others.offset = 405;
    others.bytes = 8;
    others.rank = 1;
    ASSERT_TRUE(memory.fill(*buffer, {others}).has_value());
    const DataCheck mixed = memory.check(*buffer, {words}).value();
    EXPECT_EQ(mixed.elementsWrong, 2U);
    EXPECT_EQ(mixed.firstWrong, 405U);
    EXPECT_GT(memory.room().value().totalBytes, 0U);
    EXPECT_FALSE(memory.fill(*buffer, {{Expectation::Kind::kWords, ElementType::kInt8, 4096, 1}}));
  });
}

void checkCallsInARow(const ConnectRank& connect) {
  eachRank(connect, 2, [](Rank& rank) {
    constexpr std::size_t kBytes = 4096;
    Memory& memory = rank.communicator.memory();
    const Call call{Operation::kBroadcast, ElementType::kUint8, kBytes, 0, false};
    std::vector<std::unique_ptr<Buffer>> buffers;
    std::vector<CheckedCall> plans;
    for (std::uint32_t i = 0; i < 20; ++i) {
      plans.push_back(checkedCall(call, rank.communicator.rank(), 2, i).value());
      buffers.push_back(memory.allocate(kBytes).value());
      buffers.push_back(memory.allocate(kBytes).value());
      ASSERT_TRUE(memory.fill(*buffers[2 * i], plans.back().before).has_value());
      ASSERT_TRUE(memory.spoil(*buffers[2 * i + 1]).has_value());
    }
    for (std::size_t i = 0; i < plans.size(); ++i) {
      ASSERT_TRUE(
          rank.communicator.enqueue(call, buffers[2 * i]->data(), buffers[2 * i + 1]->data()));
    }
    ASSERT_TRUE(rank.communicator.wait(in(kEnough)).has_value());
    for (std::size_t i = 0; i < plans.size(); ++i) {
      EXPECT_EQ(memory.check(*buffers[2 * i + 1], plans[i].after).value().elementsWrong, 0U) << i;
    }
  });
}

void checkDeadline(const ConnectRank& connect) {
  eachRank(connect, 2, [](Rank& rank) {
    if (rank.communicator.rank() == 0) {
      const auto buffer = rank.communicator.memory().allocate(1 << 16).value();
      const Call call{Operation::kAllReduce, ElementType::kFloat32, 1 << 14, 0, true};
      ASSERT_TRUE(rank.communicator.enqueue(call, buffer->data(), buffer->data()).has_value());
      const auto late = rank.communicator.wait(in(100ms));
      ASSERT_FALSE(late.has_value());
      EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
      rank.communicator.abort();
      EXPECT_EQ(rank.communicator.wait(in(kEnough)).error().code, ErrorCode::kUnavailable);
    }
    rank.together();
  });
}

void checkAbort(const ConnectRank& connect) {
  eachRank(connect, 2, [](Rank& rank) {
    if (rank.communicator.rank() == 0) {
      const auto buffer = rank.communicator.memory().allocate(1 << 16).value();
      const Call call{Operation::kAllReduce, ElementType::kFloat32, 1 << 14, 0, true};
      ASSERT_TRUE(rank.communicator.enqueue(call, buffer->data(), buffer->data()).has_value());
      std::thread other([&] { rank.communicator.abort(); });
      const auto ended = rank.communicator.wait(in(kEnough));
      other.join();
      ASSERT_FALSE(ended.has_value());
      EXPECT_EQ(ended.error().code, ErrorCode::kUnavailable);
    }
    rank.together();
  });
}

void checkRefusals(const ConnectRank& connect) {
  eachRank(connect, 2, [](Rank& rank) {
    const auto buffer = rank.communicator.memory().allocate(64).value();
    const Call noRoot{Operation::kReduce, ElementType::kInt32, 4, 2, false};
    const Call odd{Operation::kAllGather, ElementType::kInt32, 5, 0, false};
    for (const Call& call : {noRoot, odd}) {
      const auto refused = rank.communicator.enqueue(call, buffer->data(), buffer->data());
      ASSERT_FALSE(refused.has_value());
      EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
      EXPECT_FALSE(rank.communicator.supports(call).has_value());
    }
    checkOnce(rank.communicator, {Operation::kAllReduce, ElementType::kInt32, 4, 0, false}, 3);
  });
}

}  // namespace railhead::collective

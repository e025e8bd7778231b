#include "src/collective/host/host_communicator.h"

#include "src/collective/checked_call.h"
#include "src/collective/group.h"
#include "src/collective/host/host_memory.h"
#include "tests/support/free_port.h"
#include "tests/support/memory_filesystem.h"

#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

// Ranks as threads, over Gloo's TCP on the loopback interface.
class HostCommunicatorTest : public testing::Test {
 protected:
  template <typename Body>
  void run(int ranks, const HostSettings& settings, Body body) {
    std::vector<std::future<void>> running;
    for (int rank = 0; rank < ranks; ++rank) {
      running.push_back(std::async(std::launch::async, [&, rank] {
        World world{rank, ranks, rank, "127.0.0.1", port_, "", ""};
        const auto group = Group::join(world, {"host test", in(20s), 20s, {}}).value();
        const Gather gather = [&](const std::string& own) { return group->gather(own, in(20s)); };
        auto communicator = HostCommunicator::connect(
            rank, ranks, settings, gather, std::make_unique<HostMemory>(files_, "/proc/meminfo"));
        ASSERT_TRUE(communicator.has_value()) << communicator.error().describe();
        body(**communicator, *group);
        ASSERT_TRUE(group->barrier(in(20s)));
      }));
    }
    for (auto& one : running) one.get();
  }

  static void checkOnce(Communicator& communicator, const Call& call, std::uint32_t seed) {
    const auto plan = checkedCall(call, communicator.rank(), communicator.ranks(), seed).value();
    const std::size_t bytes = call.count * elementBytes(call.type);
    auto& memory = communicator.memory();
    const auto send = memory.allocate(bytes).value();
    const auto receive = memory.allocate(bytes).value();
    ASSERT_TRUE(memory.fill(*send, plan.before));
    ASSERT_TRUE(memory.spoil(*receive));
    const auto started = communicator.enqueue(call, send->data(), receive->data());
    ASSERT_TRUE(started.has_value()) << started.error().describe();
    const auto done = communicator.wait(in(20s));
    ASSERT_TRUE(done.has_value()) << done.error().describe();
    EXPECT_EQ(memory.check(*receive, plan.after)->elementsWrong, 0U)
        << operationName(call.operation);
  }

  testing_support::MemoryFilesystem files_;
  std::uint16_t port_ = testing_support::freePort();
};

HostSettings loopback(std::size_t rails) {
  HostSettings settings;
  settings.rails.assign(rails, {HostRail::Kind::kTcp, "127.0.0.1", "", 1, 0});
  settings.lanes.pieceBytes = 4096;
  return settings;
}

TEST_F(HostCommunicatorTest, RunsEveryOperationOverOneRailAndOverTwo) {
  for (const std::size_t rails : {1UL, 2UL}) {
    run(3, loopback(rails), [](Communicator& communicator, Group&) {
      std::uint32_t seed = 1;
      for (const Operation operation : allOperations()) {
        for (const std::size_t count : {3UL, 30'000UL}) {
          checkOnce(communicator, {operation, ElementType::kFloat32, count, 2, false}, seed++);
        }
      }
    });
  }
}

TEST_F(HostCommunicatorTest, SaysWhatItUses) {
  run(2, loopback(2), [](Communicator& communicator, Group&) {
    const auto description = communicator.describe();
    EXPECT_EQ(description.name, "host");
    EXPECT_THAT(description.transports, testing::ElementsAre("tcp 127.0.0.1", "tcp 127.0.0.1"));
  });
}

TEST_F(HostCommunicatorTest, ACallThatNobodyJoinsEndsAtTheDeadline) {
  HostSettings settings = loopback(1);
  // Far more than the test has: giving up does not wait for it.
  settings.lanes.patience = 600s;
  run(2, settings, [](Communicator& communicator, Group& group) {
    if (communicator.rank() == 0) {
      const auto buffer = communicator.memory().allocate(1 << 20).value();
      ASSERT_TRUE(
          communicator.enqueue({Operation::kAllReduce, ElementType::kInt8, 1 << 20, 0, true},
                               buffer->data(), buffer->data()));
      const auto late = communicator.wait(in(100ms));
      ASSERT_FALSE(late.has_value());
      EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
      communicator.abort();
      EXPECT_EQ(communicator.wait(in(20s)).error().code, ErrorCode::kUnavailable);
    }
    ASSERT_TRUE(group.barrier(in(20s)));
  });
}

TEST_F(HostCommunicatorTest, ARailThatIsNotThereIsNamed) {
  HostSettings settings;
  settings.rails = {{HostRail::Kind::kVerbs, "", "no_such_device", 1, 0}};
  const Gather alone = [](const std::string& own) {
    return Result<std::vector<std::string>>(std::vector{own});
  };
  const auto communicator = HostCommunicator::connect(
      0, 1, settings, alone, std::make_unique<HostMemory>(files_, "/proc/meminfo"));
  ASSERT_FALSE(communicator.has_value());
  EXPECT_EQ(communicator.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(communicator.error().message, HasSubstr("verbs no_such_device"));
}

TEST_F(HostCommunicatorTest, DifferentNumbersOfRailsAreRefused) {
  const Gather gather = [](const std::string& own) {
    return Result<std::vector<std::string>>(std::vector<std::string>{own, "2"});
  };
  const auto communicator = HostCommunicator::connect(
      0, 2, loopback(1), gather, std::make_unique<HostMemory>(files_, "/proc/meminfo"));
  ASSERT_FALSE(communicator.has_value());
  EXPECT_EQ(communicator.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(communicator.error().message, HasSubstr("rank 1 has 2 rails, this one 1"));
}

}  // namespace
}  // namespace railhead::collective

#include "src/nccl/comm.h"
#include "src/nccl/debug_log.h"
#include "src/nccl/library.h"
#include "tests/support/nccl_fixture.h"

#include <array>
#include <mutex>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::nccl {
namespace {

using namespace std::chrono_literals;
using gpu::cuda::Context;
using testing::HasSubstr;
using testing_support::NcclFixture;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }
const std::atomic<bool> kGoOn{false};

// One rank's device, stream, memory and communicator.
struct Rank {
  Rank(NcclFixture& fixture, int ordinal)
      : context(fixture.cuda().context(ordinal)),
        current(*context),
        stream(context->createStream().value()),
        memory(context->allocate(4096).value()) {}

  Result<void> join(NcclFixture& fixture, const UniqueId& id, Place place,
                    Launch launch = Launch::kDirect, std::chrono::milliseconds within = 10s,
                    const std::atomic<bool>& stop = kGoOn) {
    RAILHEAD_TRY_ASSIGN(comm, Comm::join(fixture.library(), id, place, launch, in(within), stop));
    return {};
  }
  void put(std::size_t index, std::int32_t value) {
    ASSERT_TRUE(stream.copyToDevice(at(index), std::as_bytes(std::span(&value, 1))).has_value());
    ASSERT_TRUE(stream.wait(in(10s)).has_value());
  }
  std::int32_t get(std::size_t index) {
    std::int32_t value = 0;
    EXPECT_TRUE(
        stream.copyToHost(std::as_writable_bytes(std::span(&value, 1)), at(index)).has_value());
    EXPECT_TRUE(stream.wait(in(10s)).has_value());
    return value;
  }
  std::uint64_t at(std::size_t index) const { return memory.address() + index * 4; }
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of the device's
  std::byte* pointer(std::size_t index) const { return reinterpret_cast<std::byte*>(at(index)); }

  std::shared_ptr<const Context> context;
  Context::Current current;
  gpu::cuda::Stream stream;
  gpu::cuda::DeviceMemory memory;
  std::unique_ptr<Comm> comm;
};

TEST(NcclLibraryTest, AMissingLibraryIsOneClearLine) {
  const auto opened = Library::open({"libno-such-nccl.so.2"});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(opened.error().message, HasSubstr("NCCL is missing"));
  EXPECT_THAT(opened.error().message, HasSubstr("libno-such-nccl.so.2"));
  EXPECT_THAT(opened.error().remedy, HasSubstr("2.18"));
}

TEST(NcclLibraryTest, AnOldLibraryIsNamedWithItsVersion) {
  NcclFixture fixture(1, RAILHEAD_FAKE_NCCL_OLD_LIBRARY);
  fixture.command("version 2708");
  const auto opened = Library::open({fixture.path()});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(opened.error().message, HasSubstr("NCCL 2.7.8 ("));
  EXPECT_THAT(opened.error().message, HasSubstr("it lacks ncclCommInitRankConfig"));
}

TEST(NcclLibraryTest, ALibraryThatIsNotNcclSaysSo) {
  testing_support::CudaFixture cuda;
  const auto opened = Library::open({cuda.library()});
  ASSERT_FALSE(opened.has_value());
  EXPECT_THAT(opened.error().message, HasSubstr("is not NCCL"));
}

TEST(NcclLibraryTest, TellsItsVersionAndFile) {
  NcclFixture fixture(1);
  EXPECT_EQ(fixture.library()->version(), 22809);
  EXPECT_EQ(fixture.library()->versionText(), "2.28.9");
  EXPECT_EQ(fixture.library()->path(), fixture.path());
  EXPECT_NE(fixture.library()->uniqueId().value(), fixture.library()->uniqueId().value());
  EXPECT_EQ(versionText(2804), "2.8.4");
}

TEST(NcclDebugLogTest, AsksForOneFileWithWhatTheVerdictNeeds) {
  const auto environment = debugLogEnvironment({"/tmp/rank0.log"});
  EXPECT_EQ(environment.at("NCCL_DEBUG"), "INFO");
  EXPECT_EQ(environment.at("NCCL_DEBUG_FILE"), "/tmp/rank0.log");
  EXPECT_THAT(environment.at("NCCL_DEBUG_SUBSYS"), HasSubstr("NET"));
}

class NcclCommTest : public testing::TestWithParam<Launch> {};

TEST_P(NcclCommTest, MovesAndAddsAsEachCallSays) {
  NcclFixture fixture(3);
  const UniqueId id = fixture.library()->uniqueId().value();
  fixture.eachRank([&](int number) {
    Rank rank(fixture, number);
    const auto joined = rank.join(fixture, id, {number, 3}, GetParam());
    ASSERT_TRUE(joined.has_value()) << joined.error().describe();
    void* stream = rank.stream.handle();
    const auto settled = [&] {
      EXPECT_TRUE(rank.comm->settle(in(10s), kGoOn).has_value());
      EXPECT_TRUE(rank.stream.wait(in(10s)).has_value());
    };
    for (std::size_t i = 0; i < 3; ++i)
      rank.put(i, 10 * (number + 1) + static_cast<std::int32_t>(i));
    auto& comm = *rank.comm;
    const auto kind = DataType::kInt32;
    ASSERT_TRUE(comm.allReduce(rank.pointer(0), rank.pointer(10), 1, kind, stream).has_value());
    settled();
    EXPECT_EQ(rank.get(10), 60);
    ASSERT_TRUE(comm.reduceScatter(rank.pointer(0), rank.pointer(10), 1, kind, stream));
    settled();
    EXPECT_EQ(rank.get(10), 60 + 3 * number);
    ASSERT_TRUE(comm.allGather(rank.pointer(0), rank.pointer(10), 1, kind, stream).has_value());
    settled();
    EXPECT_EQ(rank.get(12), 30);
    ASSERT_TRUE(comm.broadcast(rank.pointer(0), rank.pointer(10), 1, kind, 1, stream).has_value());
    settled();
    EXPECT_EQ(rank.get(10), 20);
    ASSERT_TRUE(comm.reduce(rank.pointer(0), rank.pointer(20), 1, kind, 2, stream).has_value());
    settled();
    EXPECT_EQ(rank.get(20), number == 2 ? 60 : 0);
    ASSERT_TRUE(comm.allToAll(rank.pointer(0), rank.pointer(10), 1, 4, kind, stream).has_value());
    settled();
    EXPECT_EQ(rank.get(10), 10 + number);
    EXPECT_EQ(rank.get(12), 30 + number);
    ASSERT_TRUE(comm.sendReceive(rank.pointer(0), (number + 1) % 3, rank.pointer(10),
                                 (number + 2) % 3, 1, kind, stream));
    settled();
    EXPECT_EQ(rank.get(10), 10 * ((number + 2) % 3 + 1));
    EXPECT_TRUE(comm.health().has_value());
    const auto left = comm.leave(in(10s));
    EXPECT_TRUE(left.has_value()) << left.error().describe();
  });
  EXPECT_EQ(fixture.comms(), 0);
  EXPECT_EQ(fixture.cuda().objects(), 0);
}

TEST_P(NcclCommTest, ARankThatNeverComesEndsTheOthersAtTheDeadline) {
  NcclFixture fixture(2);
  const UniqueId id = fixture.library()->uniqueId().value();
  {
    Rank rank(fixture, 0);
    const auto joined = rank.join(fixture, id, {0, 2}, GetParam(), 50ms);
    ASSERT_FALSE(joined.has_value());
    EXPECT_EQ(joined.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(joined.error().remedy, HasSubstr("NCCL_SOCKET_IFNAME"));
  }
  EXPECT_EQ(fixture.comms(), 0);
}

TEST_P(NcclCommTest, JoiningIsGivenUpWhenTold) {
  NcclFixture fixture(2);
  const UniqueId id = fixture.library()->uniqueId().value();
  const std::atomic<bool> stop{true};
  Rank rank(fixture, 0);
  const auto joined = rank.join(fixture, id, {0, 2}, GetParam(), 10s, stop);
  ASSERT_FALSE(joined.has_value());
  EXPECT_EQ(joined.error().code, ErrorCode::kUnavailable);
}

TEST_P(NcclCommTest, AFailureToJoinCarriesNcclsOwnWords) {
  NcclFixture fixture(1);
  fixture.command("fail-init 0 2");
  Rank rank(fixture, 0);
  const auto joined = rank.join(fixture, fixture.library()->uniqueId().value(), {0, 1}, GetParam());
  ASSERT_FALSE(joined.has_value());
  EXPECT_THAT(joined.error().message, HasSubstr("unhandled system error (NCCL code 2)"));
  EXPECT_THAT(joined.error().message, HasSubstr("the fake was told so"));
}

TEST_P(NcclCommTest, TwoRanksOnOneDeviceOfOneHostAreRefused) {
  NcclFixture fixture(2);
  const UniqueId id = fixture.library()->uniqueId().value();
  fixture.eachRank([&](int number) {
    Rank rank(fixture, 0);
    const auto joined = rank.join(fixture, id, {number, 2}, GetParam());
    ASSERT_FALSE(joined.has_value());
    EXPECT_EQ(joined.error().code, ErrorCode::kEnvironment);
  });
}

TEST_P(NcclCommTest, AnErrorOfThePeerIsFoundAndAbortFreesTheStream) {
  NcclFixture fixture(2);
  fixture.command("fail-call 0 0 6");
  const UniqueId id = fixture.library()->uniqueId().value();
  fixture.eachRank([&](int number) {
    Rank rank(fixture, number);
    ASSERT_TRUE(rank.join(fixture, id, {number, 2}, GetParam()).has_value());
    ASSERT_TRUE(rank.comm->allReduce(rank.pointer(0), rank.pointer(8), 4, DataType::kFloat32,
                                     rank.stream.handle()));
    if (number == 0) {
      Result<void> health;
      while (health.has_value()) health = rank.comm->health();
      EXPECT_EQ(health.error().code, ErrorCode::kUnavailable);
      EXPECT_FALSE(rank.stream.idle().value());
    }
    rank.comm->abort();
    EXPECT_TRUE(rank.stream.wait(in(10s)).has_value());
  });
  EXPECT_EQ(fixture.comms(), 0);
}

INSTANTIATE_TEST_SUITE_P(Launches, NcclCommTest,
                         testing::Values(Launch::kDirect, Launch::kByThread), [](const auto& each) {
                           return each.param == Launch::kDirect ? "Direct" : "ByThread";
                         });

}  // namespace
}  // namespace railhead::nccl

#include "src/collective/nccl/nccl_communicator.h"

#include "src/collective/communicator_contract.h"
#include "src/collective/nccl/introduction.h"
#include "tests/support/nccl_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace railhead::collective {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::NcclFixture;

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

struct Backend {
  const char* name;
  nccl::Launch launch;
  MemoryKind memory;
};

class NcclBackendTest : public testing::TestWithParam<Backend> {
 protected:
  ~NcclBackendTest() override {
    EXPECT_EQ(fixture_.comms(), 0);
    EXPECT_EQ(fixture_.cuda().objects(), 0);
  }
  NcclSettings settings(int rank) {
    NcclSettings out;
    out.cudaLibraries = {fixture_.cuda().library()};
    out.ncclLibraries = {fixture_.path()};
    out.device = std::to_string(rank);
    out.launch = GetParam().launch;
    out.memory.kind = GetParam().memory;
    out.callPatience = 10s;
    return out;
  }
  ConnectRank connecting() {
    return
        [this](int rank, int ranks, const Gather& gather) -> Result<std::unique_ptr<Communicator>> {
          RAILHEAD_TRY_ASSIGN(
              auto out, NcclCommunicator::connect(rank, ranks, settings(rank), gather, in(10s)));
          return std::unique_ptr<Communicator>(std::move(out));
        };
  }

  NcclFixture fixture_{3};
};

TEST_P(NcclBackendTest, EveryCall) { checkEveryCall(connecting(), 3); }
TEST_P(NcclBackendTest, ChecksFind) { checkThatChecksFind(connecting()); }
TEST_P(NcclBackendTest, CallsInARow) { checkCallsInARow(connecting()); }
TEST_P(NcclBackendTest, Deadlines) { checkDeadline(connecting()); }
TEST_P(NcclBackendTest, Abort) { checkAbort(connecting()); }
TEST_P(NcclBackendTest, Refusals) { checkRefusals(connecting()); }

INSTANTIATE_TEST_SUITE_P(
    Backends, NcclBackendTest,
    testing::Values(Backend{"Direct", nccl::Launch::kDirect, MemoryKind::kDevice},
                    Backend{"ByThread", nccl::Launch::kByThread, MemoryKind::kDevice},
                    Backend{"Pinned", nccl::Launch::kDirect, MemoryKind::kHostPinned}),
    [](const auto& each) { return std::string(each.param.name); });

// One rank is enough for what follows; it hears only itself.
class NcclCommunicatorTest : public testing::Test {
 protected:
  static Result<std::vector<std::string>> alone(const std::string& own) {
    return std::vector<std::string>{own};
  }
  Result<std::unique_ptr<NcclCommunicator>> connect() {
    return NcclCommunicator::connect(0, 1, settings_, alone, in(10s));
  }
  Result<void> enqueueOne(NcclCommunicator& communicator, Buffer& buffer) {
    return communicator.enqueue({Operation::kAllReduce, ElementType::kInt32, 4, 0, true},
                                buffer.data(), buffer.data());
  }

  NcclFixture fixture_{1};
  NcclSettings settings_{{fixture_.cuda().library()}, {fixture_.path()}, "", 0, {}};
};

TEST_F(NcclCommunicatorTest, SaysWhatItIs) {
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value()) << communicator.error().describe();
  const auto description = (*communicator)->describe();
  EXPECT_EQ(description.name, "nccl");
  EXPECT_EQ(description.version, "2.28.9");
  EXPECT_EQ(description.library, fixture_.path());
  EXPECT_EQ(description.device, "NVIDIA H200");
  EXPECT_EQ((*communicator)->memory().kind(), MemoryKind::kDevice);
  EXPECT_FALSE((*communicator)->memory().room().value().ofNode);
}

TEST_F(NcclCommunicatorTest, AMachineWithoutCudaSaysWhatIsMissing) {
  settings_.cudaLibraries = {"libno-such-cuda.so.1"};
  const auto communicator = connect();
  ASSERT_FALSE(communicator.has_value());
  EXPECT_EQ(communicator.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(communicator.error().message, HasSubstr("no CUDA here: "));
}

TEST_F(NcclCommunicatorTest, WhatHindersAMachineIsToldBeforehand) {
  EXPECT_EQ(ncclHindrance(settings_), "");
  fixture_.command("version 21701");
  EXPECT_THAT(ncclHindrance(settings_), HasSubstr("NCCL 2.17.1"));
  EXPECT_THAT(ncclHindrance(settings_), HasSubstr("is too old"));
}

TEST_F(NcclCommunicatorTest, TheDeviceIsChosenByTheLocalRankRoundAndRound) {
  settings_.localRank = 5;  // of one device
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value()) << communicator.error().describe();
  EXPECT_EQ((*communicator)->device().ordinal, 0);
}

TEST_F(NcclCommunicatorTest, TheOthersLearnWhichRankCannot) {
  const auto missing = [](const std::string& own) -> Result<std::vector<std::string>> {
    NcclIntroduction other;
    other.failure = "NCCL is missing: libnccl.so.2";
    return std::vector<std::string>{own, other.encode()};
  };
  const auto communicator = NcclCommunicator::connect(0, 2, settings_, missing, in(10s));
  ASSERT_FALSE(communicator.has_value());
  EXPECT_EQ(communicator.error().code, ErrorCode::kEnvironment);
  EXPECT_EQ(communicator.error().message, "rank 1: NCCL is missing: libnccl.so.2");
}

TEST_F(NcclCommunicatorTest, DifferentVersionsAreRefused) {
  const auto older = [](const std::string& own) -> Result<std::vector<std::string>> {
    NcclIntroduction other;
    other.version = 22703;
    return std::vector<std::string>{own, other.encode()};
  };
  const auto communicator = NcclCommunicator::connect(0, 2, settings_, older, in(10s));
  ASSERT_FALSE(communicator.has_value());
  EXPECT_EQ(communicator.error().code, ErrorCode::kCheckFailed);
  EXPECT_THAT(communicator.error().message, HasSubstr("rank 0 has 2.28.9, rank 1 has 2.27.3"));
}

TEST_F(NcclCommunicatorTest, AnIntroductionOfAnotherKindIsRefused) {
  for (const std::string text :
       {"", "x", "railhead-nccl 1\n99999999\n\n", "railhead-nccl 1\n22809\nabc\n"}) {
    const auto decoded = NcclIntroduction::decode(text);
    ASSERT_FALSE(decoded.has_value()) << text;
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
  }
}

TEST_F(NcclCommunicatorTest, ACallThatBlocksInsideNcclIsEndedByTheGuard) {
  settings_.callPatience = 100ms;
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value());
  const auto buffer = (*communicator)->memory().allocate(64).value();
  fixture_.command("block-call 0 0");
  const auto ended = enqueueOne(**communicator, *buffer);
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(ended.error().message, HasSubstr("rank 0: all_reduce"));
  EXPECT_EQ(enqueueOne(**communicator, *buffer).error().code, ErrorCode::kUnavailable);
}

TEST_F(NcclCommunicatorTest, AbortFreesACallThatBlocksInsideNccl) {
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value());
  const auto buffer = (*communicator)->memory().allocate(64).value();
  fixture_.command("block-call 0 0");
  std::thread other([&] { (*communicator)->abort(); });
  const auto ended = enqueueOne(**communicator, *buffer);
  other.join();
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code, ErrorCode::kUnavailable);
}

TEST_F(NcclCommunicatorTest, AnErrorThatNcclFindsLaterEndsTheWait) {
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value());
  const auto buffer = (*communicator)->memory().allocate(64).value();
  fixture_.command("fail-call 0 0 6");
  ASSERT_TRUE(enqueueOne(**communicator, *buffer).has_value());
  const auto ended = (*communicator)->wait(in(10s));
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(ended.error().message, HasSubstr("remote process exited"));
}

TEST_F(NcclCommunicatorTest, AWrongBitIsFoundOnTheDevice) {
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value());
  Memory& memory = (*communicator)->memory();
  const auto buffer = memory.allocate(16).value();
  const std::vector<Expectation> numbers{
      {Expectation::Kind::kNumbers, ElementType::kInt32, 0, 16, 0, 0, 5, 1}};
  ASSERT_TRUE(memory.fill(*buffer, numbers).has_value());
  fixture_.command("corrupt-call 0 0");
  ASSERT_TRUE(enqueueOne(**communicator, *buffer).has_value());
  ASSERT_TRUE((*communicator)->wait(in(10s)).has_value());
  EXPECT_EQ(memory.check(*buffer, numbers).value().elementsWrong, 1U);
}

TEST_F(NcclCommunicatorTest, WhereTheHostsMemoryIsSharedTheHostIsAskedForRoom) {
  fixture_.cuda().command("attribute 0 18 1");
  settings_.memory.hostRoom = [] { return Result<Memory::Room>(Memory::Room{7, 9, false, ""}); };
  const auto communicator = connect();
  ASSERT_TRUE(communicator.has_value());
  const auto room = (*communicator)->memory().room().value();
  EXPECT_EQ(room.freeBytes, 7U);
  EXPECT_TRUE(room.ofNode);
}

}  // namespace
}  // namespace railhead::collective

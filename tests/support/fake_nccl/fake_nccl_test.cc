// What the fake promises beyond what src/nccl's own tests see through it.
#include "src/nccl/nccl_abi.h"
#include "tests/support/nccl_fixture.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace railhead::nccl::abi {
namespace {

using namespace std::chrono_literals;
using testing_support::NcclFixture;

class FakeNcclTest : public testing::Test {
 protected:
  template <typename Function>
  Function* call(const char* name) {
    return library_.find<Function>(name);
  }
  UniqueId newId() {
    UniqueId id{};
    EXPECT_EQ(call<Return(UniqueId*)>("ncclGetUniqueId")(&id), kSuccess);
    return id;
  }
  Comm join(const UniqueId& id, int rank, int ranks, int blocking = 1) {
    Config config;
    config.blocking = blocking;
    Comm comm = nullptr;
    const Return code = call<Return(Comm*, int, UniqueId, int, Config*)>("ncclCommInitRankConfig")(
        &comm, ranks, id, rank, &config);
    EXPECT_EQ(code, blocking != 0 ? kSuccess : kInProgress);
    return comm;
  }
  Return asyncError(Comm comm) {
    Return state = kSuccess;
    EXPECT_EQ(call<Return(Comm, Return*)>("ncclCommGetAsyncError")(comm, &state), kSuccess);
    return state;
  }
  // Until it is something else than these two.
  Return failure(Comm comm) {
    Return state = kSuccess;
    while ((state = asyncError(comm)) == kSuccess || state == kInProgress)
      std::this_thread::sleep_for(1ms);
    return state;
  }
  Return allReduce(Comm comm, const void* from, void* to, std::size_t count, void* stream) {
    return call<Return(const void*, void*, std::size_t, DataType, Reduction, Comm, Stream)>(
        "ncclAllReduce")(from, to, count, kInt32, kSum, comm, static_cast<Stream>(stream));
  }
  void abort(Comm comm) { EXPECT_EQ(call<Return(Comm)>("ncclCommAbort")(comm), kSuccess); }
  void destroy(Comm comm) { EXPECT_EQ(call<Return(Comm)>("ncclCommDestroy")(comm), kSuccess); }

  NcclFixture fixture_{2};
  os::DynamicLibrary library_ = std::move(os::DynamicLibrary::open({fixture_.path()}).value());
};

TEST_F(FakeNcclTest, JoiningNeedsACurrentDevice) {
  Config config;
  Comm comm = nullptr;
  EXPECT_EQ((call<Return(Comm*, int, UniqueId, int, Config*)>("ncclCommInitRankConfig")(
                &comm, 1, newId(), 0, &config)),
            kUnhandledCudaError);
}

TEST_F(FakeNcclTest, ACommunicatorThatDoesNotBlockTakesOneCallAtATime) {
  const auto context = fixture_.cuda().context();
  const gpu::cuda::Context::Current current(*context);
  const auto stream = context->createStream().value();
  const Comm comm = join(newId(), 0, 1, 0);
  while (asyncError(comm) == kInProgress) std::this_thread::yield();
  std::int32_t value = 5;
  std::int32_t sum = 0;
  EXPECT_EQ(allReduce(comm, &value, &sum, 1, stream.handle()), kInProgress);
  EXPECT_EQ(allReduce(comm, &value, &sum, 1, stream.handle()), kInvalidArgument);
  while (asyncError(comm) == kInProgress) std::this_thread::yield();
  EXPECT_EQ(allReduce(comm, &value, &sum, 1, stream.handle()), kInProgress);
  ASSERT_TRUE(stream.wait(std::chrono::steady_clock::now() + 10s).has_value());
  EXPECT_EQ(sum, 5);
  destroy(comm);
}

TEST_F(FakeNcclTest, ACallOfAnotherSizeIsAnErrorAndNoWrongResult) {
  const UniqueId id = newId();
  fixture_.eachRank([&](int rank) {
    const auto context = fixture_.cuda().context(rank);
    const gpu::cuda::Context::Current current(*context);
    const auto stream = context->createStream().value();
    const Comm comm = join(id, rank, 2);
    std::vector<std::int32_t> from(8, 1);
    std::vector<std::int32_t> to(8, 0);
    ASSERT_EQ(allReduce(comm, from.data(), to.data(), rank == 0 ? 8 : 4, stream.handle()),
              kSuccess);
    EXPECT_TRUE(failure(comm) == kInternalError || failure(comm) == kRemoteError);
    EXPECT_EQ(to[0], 0);
    abort(comm);
    EXPECT_TRUE(stream.wait(std::chrono::steady_clock::now() + 10s).has_value());
  });
}

TEST_F(FakeNcclTest, ARankThatIsGoneIsARemoteErrorForTheOthers) {
  const UniqueId id = newId();
  fixture_.eachRank([&](int rank) {
    const auto context = fixture_.cuda().context(rank);
    const gpu::cuda::Context::Current current(*context);
    const auto stream = context->createStream().value();
    const Comm comm = join(id, rank, 2);
    if (rank == 1) return destroy(comm);
    std::int32_t value = 1;
    ASSERT_EQ(allReduce(comm, &value, &value, 1, stream.handle()), kSuccess);
    EXPECT_EQ(failure(comm), kRemoteError);
    EXPECT_FALSE(stream.idle().value());
    abort(comm);
    EXPECT_TRUE(stream.wait(std::chrono::steady_clock::now() + 10s).has_value());
  });
  EXPECT_EQ(fixture_.comms(), 0);
}

TEST_F(FakeNcclTest, ACallThatHangsEndsWithAbortOnly) {
  const auto context = fixture_.cuda().context();
  const gpu::cuda::Context::Current current(*context);
  const auto stream = context->createStream().value();
  const Comm comm = join(newId(), 0, 1);
  fixture_.command("hang-call 0 1");
  std::int32_t value = 1;
  ASSERT_EQ(allReduce(comm, &value, &value, 1, stream.handle()), kSuccess);
  ASSERT_TRUE(stream.wait(std::chrono::steady_clock::now() + 10s).has_value());
  ASSERT_EQ(allReduce(comm, &value, &value, 1, stream.handle()), kSuccess);
  EXPECT_FALSE(stream.wait(std::chrono::steady_clock::now() + 30ms).has_value());
  EXPECT_EQ(asyncError(comm), kSuccess);
  const int before = fixture_.aborts();
  abort(comm);
  EXPECT_EQ(fixture_.aborts(), before + 1);
  EXPECT_TRUE(stream.wait(std::chrono::steady_clock::now() + 10s).has_value());
}

TEST_F(FakeNcclTest, UnknownCommandsAreRefused) {
  const auto control = call<int(const char*)>("fakeNcclControl");
  for (const char* wrong : {"", "fail-call", "fail-init x 2", "hang-call 0", "no-such 1"})
    EXPECT_EQ(control(wrong), -1) << wrong;
}

}  // namespace
}  // namespace railhead::nccl::abi
